"""`zeus demo`: the whole loop on phantoms, over HTTP."""
