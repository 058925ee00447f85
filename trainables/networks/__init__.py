"""Torch modules without biology: what the foundation models are made of."""

MADE_BY = "trial:"
"""Weights named "trial:<id>" are those that the pretraining trial of that id made."""
