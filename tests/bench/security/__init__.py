"""The security API beside the original, and with a million keys: `scripts/bench keys`."""
