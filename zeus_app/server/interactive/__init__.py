"""Interactive segmentation: prompts of a user over several requests."""
