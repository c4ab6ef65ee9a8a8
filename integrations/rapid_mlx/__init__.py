"""The shim on rapid-mlx's server."""
