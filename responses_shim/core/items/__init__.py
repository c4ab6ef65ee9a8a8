"""Output items while they grow: what opens each, what a delta does, how it closes."""
