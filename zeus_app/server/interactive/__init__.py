"""Interactive segmentation over HTTP: a user's prompts on one study over several requests."""
