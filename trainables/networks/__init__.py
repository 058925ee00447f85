"""Torch modules without biology, their weights, and the one loop that trains them."""
