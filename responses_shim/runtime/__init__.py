"""Runs: from a chat request to the terminal event. An asyncio loop through anyio's API; knows no HTTP."""
