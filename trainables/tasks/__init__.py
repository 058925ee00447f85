"""One task a file; the file name is its name, and it ends in `TASK =`."""
