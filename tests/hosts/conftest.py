"""Settings of the property tests."""

from hypothesis import settings

# No deadline per example, since a test must not fail because the machine is busy.
settings.register_profile("hosts", deadline=None, max_examples=100)
settings.load_profile("hosts")
