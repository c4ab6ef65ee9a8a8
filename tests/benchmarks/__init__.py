"""What the shim costs beside its host: `python -m tests.benchmarks`. See README.md."""
