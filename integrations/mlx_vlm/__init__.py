"""The shim on mlx-vlm's server."""
