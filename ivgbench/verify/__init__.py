"""What real weights must show."""
