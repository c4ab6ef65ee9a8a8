"""A folder for `PYTHONPATH`: Python imports the `sitecustomize` in it whenever a process starts."""
