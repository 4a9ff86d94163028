"""Cases, losses, the loop, validation, the split by patient, checkpoints."""
