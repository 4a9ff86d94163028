"""Measurements of speed, memory and accuracy. Each is one command; tests time nothing here."""
