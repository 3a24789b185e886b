"""How work is spread over workers."""
