"""A chat stream as Responses events."""
