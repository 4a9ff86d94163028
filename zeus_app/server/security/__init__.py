"""What stands between a request and the server: who may ask, and what an answer may reveal."""
