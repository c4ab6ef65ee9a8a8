"""Builders of output items: which events open an item, add to it and close it."""
