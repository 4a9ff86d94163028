"""The training tasks that MONAI Label runs."""
