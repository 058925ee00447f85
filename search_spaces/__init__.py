"""What to run: a file per figure or table, each ending in `SWEEP =`."""
