"""What stands on the wire: requests, responses, events, the chat dialect, SSE."""
