"""Lifecycle of a server process: its command line, start, priority on the CPU, and shutdown."""
