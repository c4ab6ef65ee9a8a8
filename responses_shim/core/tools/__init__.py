"""One file for each kind of tool, and the map between a request's tools and the functions that a host is offered."""
