"""HTTP: how an endpoint is declared, what happens around it, how bodies are read."""
