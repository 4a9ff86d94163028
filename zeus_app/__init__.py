"""Zeus: multi-sequence MRI segmentation by text instructions. Importing it does nothing."""
