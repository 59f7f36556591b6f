"""The engines: each puts a style onto a content in its own way, all behind one protocol."""
