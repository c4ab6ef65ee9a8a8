"""What happens between a parsed request and its answer: runs, files, interceptors, encryption. Knows no ASGI app."""
