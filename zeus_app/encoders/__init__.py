"""Frozen towers for pictures and texts, one family a file."""
