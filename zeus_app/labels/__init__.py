"""Labels: files, checks, versions, segments, import."""
