"""Kedzierska et al. 2023, doi:10.1101/2023.10.16.561085: a sweep for each figure."""
