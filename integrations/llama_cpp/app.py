"""llama-cpp-python's server with the shim mounted.

    MODEL=model.gguf uvicorn --app-dir integrations/llama_cpp app:app

The server reads its settings from the environment: MODEL, MODEL_ALIAS, N_CTX, API_KEY and so on.
"""

from llama_cpp.server.app import create_app

from responses_shim import ResponsesShim

app = create_app()
app.add_middleware(ResponsesShim)
