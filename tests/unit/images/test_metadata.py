"""Metadata: the same string back from every format, and nothing from packets that mean harm."""

import json
from io import BytesIO
from pathlib import Path

import pytest
import torch
from PIL import Image, PngImagePlugin

from impasto.errors import OutputError, UnreadableImageError
from impasto.images import Picture, encode, read, read_metadata, read_source_type, write

EXTENSIONS = (".png", ".jpg", ".webp", ".tif", ".avif")
STRINGS = (
    "",
    "{}",
    '{"prompt": "a \\"quoted\\" <b>cat</b> & dog\'s ]]> <!-- x --> &amp; &#13; {namespace}"}',
    "\n  leading\tand trailing \r\n lines \r ",
    "grüße 漢字 🎨 ‮ \u200b \x7f \x85 \u2028 \ud7ff \ue000 \ufffd \U0010ffff",
    "<!DOCTYPE x [<!ENTITY a 'b'>]>&a;",
    json.dumps({"losses": list(range(4000))}),
)


@pytest.fixture
def picture() -> Picture:
    return Picture(torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(3)))


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize("metadata", STRINGS)
def test_metadata_come_back_character_for_character(
    extension: str, metadata: str, picture: Picture, tmp_path: Path
) -> None:
    path = write(picture, tmp_path / f"out{extension}", metadata=metadata)
    assert read_metadata(path) == metadata
    assert type(read_metadata(str(path))) is str


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_metadata_change_no_pixel_and_none_is_none(extension: str, picture: Picture, tmp_path: Path) -> None:
    plain = write(picture, tmp_path / f"plain{extension}")
    marked = write(picture, tmp_path / f"marked{extension}", metadata='{"seed": 3}')
    assert read_metadata(plain) is None
    assert torch.equal(read(plain).pixels, read(marked).pixels)


def test_metadata_are_an_xmp_packet_other_programs_read(picture: Picture) -> None:
    with Image.open(BytesIO(encode(picture, ".jpg", metadata="{}"))) as image:
        packet = image.info["xmp"].decode()
    assert packet.startswith('<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>')
    assert 'xmlns:impasto="urn:impasto:recipe:1"' in packet
    assert "<impasto:recipe>{}</impasto:recipe>" in packet
    with Image.open(BytesIO(encode(picture, ".tif", metadata="{}"))) as image:
        assert image.tag_v2.tagtype[700] == 1  # type: ignore[attr-defined]  # BYTE, as the specification asks


def test_metadata_too_large_for_jpeg_is_refused_and_fits_elsewhere(picture: Picture, tmp_path: Path) -> None:
    large = "x" * 70_000
    with pytest.raises(OutputError, match=r"JPEG holds at most 65504; write a PNG"):
        encode(picture, ".jpg", metadata=large)
    for extension in (".png", ".webp", ".tif", ".avif"):
        assert read_metadata(write(picture, tmp_path / f"out{extension}", metadata=large)) == large


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize("bad", ["\0", "\x0b", "\x1f", "\ud800", "\ufffe", "\uffff"])
def test_metadata_that_xml_cannot_hold_are_refused(extension: str, bad: str, picture: Picture) -> None:
    with pytest.raises(OutputError, match=rf"U\+{ord(bad):04X} at position 2.*ensure_ascii"):
        encode(picture, extension, metadata=f"ab{bad}")


def packet(inside: str, before: str = "") -> bytes:
    text = f"""{before}<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
    xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">{inside}</rdf:RDF></x:xmpmeta>"""
    return text.encode()


NAMESPACE = 'xmlns:r="urn:impasto:recipe:1"'
ELEMENT = f"<rdf:Description {NAMESPACE}><r:recipe>secret</r:recipe></rdf:Description>"


@pytest.mark.parametrize(
    ("xmp", "expected"),
    [
        (packet(ELEMENT), "secret"),
        (packet(f'<rdf:Description {NAMESPACE} r:recipe="se&quot;cret"/>'), 'se"cret'),
        (packet(ELEMENT) + b" \n" * 1000 + b"\0", "secret"),
        (packet(ELEMENT).decode().encode("utf-16"), None),  # XMP in files is UTF-8
        (packet(ELEMENT).replace(b"secret", b"\xff"), None),
        (packet("<rdf:Description><recipe>no namespace</recipe></rdf:Description>"), None),
        (packet(ELEMENT.replace(":1", ":2")), None),
        (packet(ELEMENT)[:-5], None),
        (packet(ELEMENT, '<?xml version="1.0" encoding="no-such-code"?>'), "secret"),
        (packet(ELEMENT, "<!DOCTYPE x>"), None),
        (packet(ELEMENT.replace("secret", "&a;"), "<!DOCTYPE x [<!ENTITY a 'lol'>]>"), None),
        (
            packet(ELEMENT.replace("secret", "&a;"), "<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>"),
            None,
        ),
        (packet(ELEMENT, "<!DOCTYPE x>").decode().encode("utf-16"), None),
        (b"", None),
        (b"\xff\xfe not xml", None),
    ],
)
def test_read_metadata_of_other_peoples_packets(xmp: bytes, expected: str | None, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "other.jpg", xmp=xmp)
    assert read_metadata(tmp_path / "other.jpg") == expected


def test_read_metadata_of_png_rewritten_as_xmp_or_compressed(tmp_path: Path) -> None:
    compressed, as_xmp, text = (PngImagePlugin.PngInfo() for _ in range(3))
    compressed.add_itxt("impasto", "grüße", lang="de", tkey="Rezept", zip=True)
    as_xmp.add_itxt("XML:com.adobe.xmp", packet(ELEMENT).decode())
    text.add_text("xmp", "a string where Pillow promises bytes")
    for chunks, expected in ((compressed, "grüße"), (as_xmp, "secret"), (text, None)):
        Image.new("RGB", (8, 8)).save(tmp_path / "other.png", pnginfo=chunks)
        assert read_metadata(tmp_path / "other.png") == expected


@pytest.mark.parametrize("kind", ["BMP", "GIF"])
def test_read_metadata_of_a_format_without_any_is_none(kind: str, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "plain", format=kind)
    assert read_metadata(tmp_path / "plain") is None


def test_read_metadata_of_a_bad_file_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    for name in ("text.png", "gone.png", ""):
        with pytest.raises(UnreadableImageError):
            read_metadata(tmp_path / name)


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize("bit_depth", [8, 16])
def test_source_type_stands_beside_the_metadata_or_alone(
    extension: str, bit_depth: int, picture: Picture, tmp_path: Path
) -> None:
    if bit_depth == 16 and extension not in (".png", ".tif"):
        return
    address = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
    for metadata in (None, '{"seed": "<3>"}'):
        path = tmp_path / f"out{extension}"
        write(picture, path, metadata=metadata, source_type=address, bit_depth=bit_depth)
        assert (read_metadata(path), read_source_type(path)) == (metadata, address)
    write(picture, path, metadata="{}", bit_depth=bit_depth)
    assert read_source_type(path) is None


def test_source_type_of_other_programs_is_read_and_a_dangerous_packet_is_none(picture: Picture, tmp_path: Path) -> None:
    packet = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description xmlns:e="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" e:DigitalSourceType="urn:x"/>'
        "</rdf:RDF></x:xmpmeta>"
    )
    path = tmp_path / "out.webp"
    with Image.open(write(picture, tmp_path / "plain.png")) as image:
        image.save(path, xmp=packet.encode())
        assert read_source_type(path) == "urn:x"
        image.save(path, xmp=f"<!DOCTYPE x [<!ENTITY a 'b'>]>{packet}".encode())
    assert read_source_type(path) is None
