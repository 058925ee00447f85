"""What genes are called."""
