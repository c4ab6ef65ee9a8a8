"""A model for MLX's servers that says what a script says, so that their parsers can be tested without a real one."""
