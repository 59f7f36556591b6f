"""Training of engine ``fast``'s networks."""
