"""Other networks behind the same protocol, one file each."""
