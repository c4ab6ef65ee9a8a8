"""What serves one client or one system."""
