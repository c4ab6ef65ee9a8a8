"""vllm-mlx's command with the shim mounted on its app, for what the launcher cannot do: settings as code, interceptors.

python integrations/vllm_mlx/serve.py serve mlx-community/Qwen3-4B-4bit --port 8000
"""

from vllm_mlx import server
from vllm_mlx.cli import main

from responses_shim import ResponsesShim

if __name__ == "__main__":
    server.app.add_middleware(ResponsesShim, ping_interval=10)
    main()
