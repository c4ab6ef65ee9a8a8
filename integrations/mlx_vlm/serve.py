"""mlx-vlm's command with the shim mounted on its app, for what the launcher cannot do: settings as code, interceptors.

python integrations/mlx_vlm/serve.py --model mlx-community/Qwen3-VL-4B-Instruct-4bit --port 8000
"""

from mlx_vlm.server import app, main

from responses_shim import ResponsesShim

if __name__ == "__main__":
    app.add_middleware(ResponsesShim, ping_interval=10)
    main()
