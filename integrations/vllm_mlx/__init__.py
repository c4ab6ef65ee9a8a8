"""The shim on vllm-mlx's server."""
