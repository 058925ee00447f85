"""Torch modules without biology, their weights, and the one loop that trains them."""

MADE_BY = "trial:"
"""Weights named "trial:<id>" are those that the pretraining trial of that id made."""
