"""Image files: read them and check their voxels."""
