"""What Zeus keeps on disk: the state folder, the cache, atomic files."""
