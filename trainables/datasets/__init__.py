"""One data set a file; the file name is its name, and it ends in `DATASET =`."""
