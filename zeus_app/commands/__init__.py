"""The commands of `zeus`."""
