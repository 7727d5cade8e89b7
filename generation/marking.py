"""Marking: every image file says by itself that it is synthetic, and from which prompt.

An XMP packet inside the file (PNG: an iTXt chunk, JPEG: APP1, WebP: its XMP chunk) holds IPTC's
digital source type, the IPTC fields for generated images, and the prompt record as JSON. It has no
time stamp: the same record and pixels give the same bytes.

Trained models make `trainedAlgorithmicMedia`. Schematic faces are drawn by rules that nobody
trained, for which IPTC has a term of its own, `algorithmicMedia`.

>>> packet = xmp_packet({"prompt": "A <b>", "generator": "schematic"}, DRAWN)
>>> read_xmp(packet)
Mark(source_type='algorithmicMedia', record={'prompt': 'A <b>', 'generator': 'schematic'})
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from emonet_face import __version__
from emonet_face.errors import EmoNetFaceError

if TYPE_CHECKING:
    from PIL import Image

TRAINED, DRAWN = "trainedAlgorithmicMedia", "algorithmicMedia"
"""Terms of IPTC's digital source types."""

SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
"""What the terms stand behind in a file."""

FORMATS = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}
"""Formats of image files and their suffixes. PNG keeps every pixel value, the others do not."""

_RUNS_ONLY = {"compress_level": 1, "compress_type": zlib.Z_RLE}
"""How PNG is packed: a photo's pixels hardly ever come in the same order again, so that looking for
more than runs takes five times as long and makes a file of the same size."""

_OPTIONS = {"jpeg": {"quality": 95, "subsampling": 0}, "webp": {"quality": 92, "method": 4}}
_PNG_KEYWORD = "XML:com.adobe.xmp"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_XMP = "http://ns.adobe.com/xap/1.0/"
_OURS = "urn:emonet-face:1.0/"
_PACKET = f"""\
<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="{_RDF}">
<rdf:Description rdf:about="" xmlns:xmp="{_XMP}" xmlns:Iptc4xmpExt="{_IPTC}" xmlns:emonet="{_OURS}">
{{properties}}
</rdf:Description>
</rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>"""


_JSON = json.JSONEncoder(allow_nan=False)


@dataclass(frozen=True)
class Mark:
    """What a marked file says of itself.

    Attributes:
        source_type: IPTC's term, e.g. "trainedAlgorithmicMedia".
        record: the prompt record; empty where the packet is not of ours.
    """

    source_type: str
    record: dict[str, Any]


def xmp_packet(record: Mapping[str, Any], source_type: str) -> bytes:
    """The packet for a file.

    Args:
        record: JSON values. "prompt", "generator" and "revision", where given, also go into IPTC's
            own fields.
        source_type: a term of IPTC's digital source types.
    """
    values = {
        "Iptc4xmpExt:DigitalSourceType": SOURCE_TYPES + source_type,
        "Iptc4xmpExt:AIPromptInformation": record.get("prompt"),
        "Iptc4xmpExt:AISystemUsed": record.get("generator"),
        "Iptc4xmpExt:AISystemVersionUsed": record.get("revision"),
        "xmp:CreatorTool": f"EmoNet-Face {__version__}",
        "emonet:PromptRecord": _JSON.encode(record),  # ASCII: nothing XML forbids
    }
    lines = [f"<{key}>{escape(value)}</{key}>" for key, value in values.items() if value]
    return _PACKET.format(properties="\n".join(lines)).encode()


def read_xmp(packet: bytes) -> Mark | None:
    """What a packet says; None where it names no digital source type.

    Raises:
        EmoNetFaceError: the packet is not XML, or declares entities (which XMP never does).
    """
    if b"<!" in packet:
        raise EmoNetFaceError("the XMP packet has a document type or entities")
    try:
        tree = ElementTree.fromstring(packet.strip(b"\0 \n"))
    except ElementTree.ParseError as error:
        raise EmoNetFaceError(f"the XMP packet is not XML ({error})") from None
    key = f"{{{_IPTC}}}DigitalSourceType"  # an element or, as most others write it, an attribute
    found = (element.text if element.tag == key else element.get(key) for element in tree.iter())
    source_type = next((text for text in found if text), None)
    if source_type is None:
        return None
    record = tree.findtext(f".//{{{_OURS}}}PromptRecord")
    return Mark(
        source_type.removeprefix(SOURCE_TYPES), {} if record is None else json.loads(record)
    )


def read_mark(data: bytes) -> Mark | None:
    """The mark inside the bytes of an image file; None where there is none.

    Raises:
        EmoNetFaceError: see `read_xmp`.
    """
    from PIL import Image

    with Image.open(BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as image:
        packet = _packet(image)
        if packet is None:
            image.load()  # a PNG may have it behind the pixels
            packet = _packet(image)
    return None if packet is None else read_xmp(packet)


def _packet(image: Image.Image) -> bytes | None:
    packet = image.info.get("xmp") or image.info.get(_PNG_KEYWORD)
    return packet.encode() if isinstance(packet, str) else packet


def is_marked_generated(data: bytes) -> bool:
    """Whether an image file says of itself that a model or a program made the whole of it.

    A mark that cannot be read says nothing. Other digital source types, a photograph that a model
    changed for instance, are none of these.
    """
    if b"DigitalSourceType" not in data:  # XMP is UTF-8 and not compressed: nothing to decode for
        return False
    try:
        mark = read_mark(data)
    except (ValueError, OSError):
        return False
    return mark is not None and mark.source_type in (TRAINED, DRAWN)


def encode(image: Image.Image, image_format: str, packet: bytes) -> bytes:
    """A picture as the bytes of a marked file; no time stamps, equal input gives equal bytes.

    Args:
        image: RGB.
        image_format: a key of FORMATS.
        packet: of `xmp_packet`.
    """
    stream = BytesIO()
    if image_format == "png":
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_itxt(_PNG_KEYWORD, packet.decode())
        image.save(stream, "PNG", pnginfo=info, **_RUNS_ONLY)
    else:
        image.save(stream, image_format.upper(), xmp=packet, **_OPTIONS[image_format])
    return stream.getvalue()
