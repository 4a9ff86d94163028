"""What the MONAI Label tasks share."""
