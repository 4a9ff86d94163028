"""Training: setup, cases, steps, loop, evaluation, the split by patient, checkpoints."""
