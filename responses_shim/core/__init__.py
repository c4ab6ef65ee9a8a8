"""The pure part: no async, no I/O, no clock, no randomness. Imports the standard library and msgspec only."""
