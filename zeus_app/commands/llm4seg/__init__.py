"""`zeus llm4seg`."""
