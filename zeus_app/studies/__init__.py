"""Find studies in folders, read them, align their sequences, and cut them into slices."""
