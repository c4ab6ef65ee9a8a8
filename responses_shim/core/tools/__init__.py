"""One file for each kind of tool, and the map of the tools of a request."""
