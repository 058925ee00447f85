"""One intake for every file: where its counts are, how they were scaled, what a gene and a cell is."""
