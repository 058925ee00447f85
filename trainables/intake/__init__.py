"""One intake for every file: its counts, the scale of its values, its genes, cells and labels."""
