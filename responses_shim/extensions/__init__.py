"""What serves one client or one system: Codex's model catalogue, NeMo Gym's keys in `metadata`."""
