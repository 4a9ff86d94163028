"""What writes instructions: causal LLMs, vision-language models, a server."""
