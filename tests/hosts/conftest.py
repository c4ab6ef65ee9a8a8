"""How long the property tests look."""

from hypothesis import settings

# A busy machine is no failure: no deadline per example.
settings.register_profile("hosts", deadline=None, max_examples=100)
settings.load_profile("hosts")
