"""Benchmarks of models against each other: suites, jobs, rows and tables (`zeus bench`)."""
