"""A string that travels inside a picture file: the recipe, put there by write.py and read back here.

PNG holds it as an iTXt chunk with the keyword `impasto`; JPEG, WebP, TIFF and AVIF hold it in an XMP packet,
as the property `recipe` of a namespace of our own. What the string says is the business of recipe.py.

Source: XMP specification part 1 (ISO 16684-1), section 7: packet, rdf:Description, simple properties.
"""

import os
import re
from xml.parsers import expat
from xml.sax.saxutils import escape

from impasto.errors import OutputError
from impasto.images.source import decoding, file_path, open_image, read_bytes

PNG_KEYWORD = "impasto"
NAMESPACE = "urn:impasto:recipe:1"

# expat joins namespace and name with a separator of our choice; no URI holds a space.
_RECIPE = f"{NAMESPACE} recipe"

# The characters that XML 1.0 cannot hold, not even escaped. JSON can write each of them as \uXXXX.
_NOT_XML = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")

_PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:impasto="{namespace}">
<impasto:recipe>{recipe}</impasto:recipe>
</rdf:Description>
</rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>"""


def read_metadata(path: str | os.PathLike[str]) -> str | None:
    """The metadata string that `write` put into a file, or None if there is none; pixels are not decoded.

    Args:
        path: a picture file of any format that `read` takes.

    Returns:
        The string, character for character. A packet that another program has rewritten is understood too, a
        damaged or dangerous one (with a document type or entities) counts as none.

    Raises:
        UnreadableImageError: missing, empty, damaged, or no picture.
    """
    source = file_path(path)
    data = read_bytes(source)
    with decoding(source.name), open_image(data) as image:
        text = image.info.get(PNG_KEYWORD)
        packet = image.info.get("xmp")
    if isinstance(text, str):
        return str(text)  # Pillow's own kind of string carries the language tags as well
    return _parse(packet) if isinstance(packet, bytes) else None


def check_metadata(metadata: str) -> None:
    """Refuse a string that XML cannot hold; for PNG too, so that the format makes no difference.

    Raises:
        OutputError: a control character, a lone surrogate, U+FFFE or U+FFFF.
    """
    if bad := _NOT_XML.search(metadata):
        raise OutputError(
            f"the metadata hold the character U+{ord(bad[0]):04X} at position {bad.start()}, which a picture "
            "file cannot carry; write it as a JSON escape (json.dumps with ensure_ascii=True)"
        )


def xmp_packet(metadata: str) -> bytes:
    """The XMP packet that holds a checked string as the property `recipe`, UTF-8."""
    # A parser turns a bare carriage return into a line feed, so it goes in as a reference.
    return _PACKET.format(namespace=NAMESPACE, recipe=escape(metadata, {"\r": "&#13;"})).encode()


class _DoctypeError(Exception):
    """The packet declares a document type: nothing honest does, and entities live there."""


def _parse(packet: bytes) -> str | None:
    """The property `recipe`, as an element or as an attribute of rdf:Description."""
    recipe: str | None = None
    inside = False

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal recipe, inside
        if name == _RECIPE:
            recipe, inside = "", True
        elif _RECIPE in attributes:
            recipe = attributes[_RECIPE]

    def end(name: str) -> None:
        nonlocal inside
        inside = inside and name != _RECIPE

    def text(data: str) -> None:
        nonlocal recipe
        if inside and recipe is not None:
            recipe += data

    def refuse(*_: object) -> None:
        raise _DoctypeError

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = refuse
    try:
        # As text, so that the packet cannot name a codec of its own; padding after it is common.
        parser.Parse(packet.rstrip(b"\0 ").decode(), True)
    except (expat.ExpatError, _DoctypeError, UnicodeDecodeError):
        return None
    return recipe
