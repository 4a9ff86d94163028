"""Frozen encoders for pictures and texts, one family per file."""
