"""Styles on disk: a folder with reference pictures and what was trained on them, the same for every engine and door."""

from impasto.styles.folder import Style, Trained, is_style, read_style, write_style

__all__ = ["Style", "Trained", "is_style", "read_style", "write_style"]
