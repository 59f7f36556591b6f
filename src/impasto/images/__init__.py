"""Images: read, write, resize; see read.py, write.py, resize.py."""
