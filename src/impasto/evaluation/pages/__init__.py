"""Pages that people read: one HTML file each, with everything inside it and nothing from outside."""

from impasto.evaluation.pages.page import picture_uri, render, write_page

__all__ = ["picture_uri", "render", "write_page"]
