"""The inference tasks that MONAI Label runs."""
