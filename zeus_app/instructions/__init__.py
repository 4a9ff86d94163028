"""Models that generate instructions: causal LLMs, vision-language models, an LLM server."""
