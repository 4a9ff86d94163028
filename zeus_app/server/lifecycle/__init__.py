"""Start, installation of the routes, shutdown."""
