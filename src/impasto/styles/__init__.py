"""Styles on disk: a folder with reference pictures and what was trained on them, the same for every engine and door.

``folder.py`` is one style, ``archive.py`` the file that it travels in, ``library.py`` the styles by name, ``pack.py`` a
style with the rules of a brand.
"""

from impasto.styles.archive import unpack_archive, write_archive
from impasto.styles.folder import Look, Style, Trained, is_style, make_look, read_style, write_style
from impasto.styles.library import (
    add_style,
    added_styles,
    export_style,
    find_style,
    get_style,
    house_styles,
    import_style,
    library_folder,
    list_styles,
    new_folder,
    reference_folders,
    remove_style,
    style_pictures,
    style_showing,
)
from impasto.styles.pack import Channel, Pack, make_pack, read_pack

__all__ = [
    "Channel",
    "Look",
    "Pack",
    "Style",
    "Trained",
    "add_style",
    "added_styles",
    "export_style",
    "find_style",
    "get_style",
    "house_styles",
    "import_style",
    "is_style",
    "library_folder",
    "list_styles",
    "make_look",
    "make_pack",
    "new_folder",
    "read_pack",
    "read_style",
    "reference_folders",
    "remove_style",
    "style_pictures",
    "style_showing",
    "unpack_archive",
    "write_archive",
    "write_style",
]
