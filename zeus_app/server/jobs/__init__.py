"""Heavy work of the server: queue, progress, background encoding."""
