"""Studies and labels in the layouts of other programs."""
