"""Image files and the checks of their voxels."""
