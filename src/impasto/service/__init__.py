"""The HTTP door: parse, ask the jobs room, answer. It computes nothing and keeps nothing of its own."""
