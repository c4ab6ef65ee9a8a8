"""From a Responses request to a chat request."""
