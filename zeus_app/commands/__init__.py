"""The commands of `zeus`, one file or package each; main.py puts them together."""
