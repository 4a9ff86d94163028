"""Interactive segmentation: what a user points at becomes masks, slice by slice."""
