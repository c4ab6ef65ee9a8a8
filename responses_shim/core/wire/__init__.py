"""The data that goes over the wire, as types: requests, responses, events, chat chunks, errors, SSE."""
