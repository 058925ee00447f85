"""Figures: a table in, a matplotlib Figure out, drawn without a screen."""
