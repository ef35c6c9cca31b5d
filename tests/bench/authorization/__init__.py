"""What authorization costs: scripts/bench authorization."""
