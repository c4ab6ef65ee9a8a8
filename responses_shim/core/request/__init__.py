"""A Responses request as a chat request."""
