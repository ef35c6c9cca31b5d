"""What a renewal costs those who wait for it, and being ready for one those who need none."""
