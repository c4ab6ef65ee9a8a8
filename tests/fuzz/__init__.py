"""Fuzzers: random requests, routes, hosts and interruptions against the complete middleware on a scripted host.

`python -m tests.fuzz` runs them for long, `test_fuzz.py` for a few seconds. Examples that failed once are in `kept`.
"""
