"""Provider-neutral views of a request and of a response, for interceptors."""
