"""How many examples the property tests try, and for how long."""

from hypothesis import settings

# A busy machine is no failure: no deadline per example.
settings.register_profile("core", deadline=None, max_examples=100)
settings.load_profile("core")
