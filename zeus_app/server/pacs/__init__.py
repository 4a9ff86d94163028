"""The studies of a PACS: listed, opened from headers, downloaded."""
