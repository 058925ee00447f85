"""Boiarsky et al. 2023, doi:10.1101/2023.10.19.563100: a sweep for each figure and table."""
