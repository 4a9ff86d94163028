"""Masks in folders compared with the truth: pairs, scores, tables."""
