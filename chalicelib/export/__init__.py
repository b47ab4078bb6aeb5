"""Export: measurements of a range, written slice by slice into a file in the bucket."""
