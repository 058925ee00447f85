"""One model a file; the file name is its name, and it ends in `MODEL =`."""
