"""Engine ``fast``: a network paints a picture in one pass."""
