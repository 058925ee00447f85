"""Files as people bring them, by recipe, and what a careful bioinformatician expects of each."""
