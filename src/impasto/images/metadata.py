"""Words that travel inside a picture file: the recipe, and what kind of picture it is; write.py puts them there.

PNG holds the recipe as an iTXt chunk with the keyword `impasto`; JPEG, WebP, TIFF and AVIF hold it in an XMP packet,
as the property `recipe` of a namespace of our own. What it says is the business of recipe.py. The kind of picture is
IPTC's property DigitalSourceType, in the XMP packet of every format.

Source: XMP specification part 1 (ISO 16684-1), section 7: packet, rdf:Description, simple properties; part 3,
section 1.1.5: its chunk in PNG. IPTC Photo Metadata Standard 2023.2, section "Digital Source Type".
"""

import os
import re
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape

from impasto.errors import OutputError
from impasto.images.source import decoding, file_path, open_image, read_bytes

PNG_KEYWORD = "impasto"
NAMESPACE = "urn:impasto:recipe:1"

_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_PNG_XMP_KEYWORD = "XML:com.adobe.xmp"

# expat joins namespace and name with a separator of our choice; no URI holds a space.
_RECIPE = f"{NAMESPACE} recipe"
_SOURCE_TYPE = f"{_IPTC} DigitalSourceType"

# The characters that XML 1.0 cannot hold, not even escaped. JSON can write each of them as \uXXXX.
_NOT_XML = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")

_PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
{description}
</rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>"""

_DESCRIPTION = """<rdf:Description rdf:about="" xmlns:{prefix}="{namespace}">
<{prefix}:{name}>{value}</{prefix}:{name}>
</rdf:Description>"""


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
    info = _info(path)
    text = info.get(PNG_KEYWORD)
    if isinstance(text, str):
        return str(text)  # Pillow's own kind of string carries the language tags as well
    return _parse(info.get("xmp"), _RECIPE)


def read_source_type(path: str | os.PathLike[str]) -> str | None:
    """IPTC's DigitalSourceType of a picture file, whoever wrote it: an address, or None; pixels are not decoded.

    Raises:
        UnreadableImageError: missing, empty, damaged, or no picture.
    """
    return _parse(_info(path).get("xmp"), _SOURCE_TYPE)


def _info(path: str | os.PathLike[str]) -> dict[Any, Any]:
    """What Pillow finds beside the pixels."""
    source = file_path(path)
    data = read_bytes(source)
    with decoding(source.name), open_image(data) as image:
        return dict(image.info)


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


def xmp_packet(metadata: str | None, source_type: str | None) -> bytes | None:
    """The XMP packet of a checked string as the property `recipe`, and of a source type; UTF-8. None if of neither."""
    described = []
    if metadata is not None:
        described.append(_described("impasto", NAMESPACE, "recipe", metadata))
    if source_type is not None:
        described.append(_described("Iptc4xmpExt", _IPTC, "DigitalSourceType", source_type))
    return _PACKET.format(description="\n".join(described)).encode() if described else None


def png_texts(metadata: str | None, source_type: str | None) -> dict[str, str]:
    """The same for PNG, as texts by keyword."""
    texts = {} if metadata is None else {PNG_KEYWORD: metadata}
    packet = xmp_packet(None, source_type)
    return texts if packet is None else texts | {_PNG_XMP_KEYWORD: packet.decode()}


def _described(prefix: str, namespace: str, name: str, value: str) -> str:
    # A parser turns a bare carriage return into a line feed, so it goes in as a reference.
    value = escape(value, {"\r": "&#13;"})
    return _DESCRIPTION.format(prefix=prefix, namespace=namespace, name=name, value=value)


class _DoctypeError(Exception):
    """The packet declares a document type: nothing honest does, and entities live there."""


def _parse(packet: object, wanted: str) -> str | None:
    """A property of a packet, as an element or as an attribute of rdf:Description; None if there is no packet."""
    if not isinstance(packet, bytes):
        return None
    found: str | None = None
    inside = False

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal found, inside
        if name == wanted:
            found, inside = "", True
        elif wanted in attributes:
            found = attributes[wanted]

    def end(name: str) -> None:
        nonlocal inside
        inside = inside and name != wanted

    def text(data: str) -> None:
        nonlocal found
        if inside and found is not None:
            found += data

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
    return found
