"""The trained networks (projection, aligner, mask decoder) and the fusion of masks."""
