"""What Zeus costs and what its parts are worth, measured; nothing here is timed by a test."""
