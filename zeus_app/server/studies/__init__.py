"""The studies and images that the server knows."""
