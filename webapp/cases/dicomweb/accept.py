"""Reads Accept headers as real clients send them and picks the form of the answer.

DICOM PS3.18 section 8.7 asks for quoted parameters (``type="application/dicom"``); Cornerstone, OHIF
and others leave the quotes out, so both are understood. ``transfer-syntax=*`` means "as it is
stored"; without that parameter the default is Explicit VR Little Endian (PS3.18 section 8.7.3.5.2).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from rest_framework.exceptions import NotAcceptable

EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
IMPLICIT_LITTLE = "1.2.840.10008.1.2"
DEFLATED = "1.2.840.10008.1.2.1.99"

DICOM = "application/dicom"
OCTETS = "application/octet-stream"
DICOM_JSON = "application/dicom+json"

_JPEG = "1.2.840.10008.1.2.4."
MEDIA_TYPES: dict[str, str] = {
    "1.2.840.10008.1.2.5": "image/dicom-rle",
    **{_JPEG + end: "image/jpeg" for end in ("50", "51", "57", "70")},
    **{_JPEG + end: "image/jls" for end in ("80", "81")},
    **{_JPEG + end: "image/jp2" for end in ("90", "91")},
    **{_JPEG + end: "image/jpx" for end in ("92", "93")},
    **{_JPEG + end: "image/jphc" for end in ("201", "202", "203")},
    **{_JPEG + end: "image/jxl" for end in ("110", "111", "112")},
}
"""The media type of one compressed frame, by transfer syntax (PS3.18 table 8.7.3-5)."""


@dataclass(frozen=True)
class MediaRange:
    """One element of an Accept header: ``multipart/related; type=...; q=0.5``."""

    name: str
    parameters: dict[str, str] = field(default_factory=dict)
    quality: float = 1.0

    @property
    def inner(self) -> str:
        """The media type inside a multipart range, in lower case; "" where none is named."""
        return self.parameters.get("type", "").lower()

    @property
    def transfer_syntax(self) -> str:
        """The transfer syntax asked for: a UID, ``*``, or "" for the default."""
        return self.parameters.get("transfer-syntax", "")

    def covers(self, media_type: str) -> bool:
        """Whether a media type lies in this range, wildcards included."""
        main, _, sub = self.name.partition("/")
        wanted_main, _, wanted_sub = media_type.partition("/")
        return main in ("*", wanted_main) and sub in ("*", wanted_sub)


def _split(text: str, separator: str) -> Iterator[str]:
    """Split at a separator that stands outside quotes."""
    part: list[str] = []
    quoted = False
    for character in text:
        if character == '"':
            quoted = not quoted
        if character == separator and not quoted:
            yield "".join(part).strip()
            part = []
        else:
            part.append(character)
    yield "".join(part).strip()


def _quality(text: str) -> float:
    try:
        return min(1.0, max(0.0, float(text)))
    except ValueError:
        return 1.0


def parse_accept(header: str) -> list[MediaRange]:
    """The ranges of an Accept header, most wanted first; none for an empty header.

    Ranges of equal quality keep the client's order; those of quality 0 are left out.
    """
    ranges: list[MediaRange] = []
    for element in _split(header, ","):
        name, *rest = _split(element, ";")
        if not name:
            continue
        parameters: dict[str, str] = {}
        for parameter in rest:
            key, _, value = parameter.partition("=")
            if key.strip():
                parameters[key.strip().lower()] = value.strip().strip('"').strip()
        quality = _quality(parameters.pop("q", "1"))
        if quality > 0:
            ranges.append(MediaRange(name.lower(), parameters, quality))
    return sorted(ranges, key=lambda one: -one.quality)


def request_ranges(header: str | None, query: Iterable[str] = ()) -> list[MediaRange]:
    """What a request accepts: its ``accept`` query parameters (PS3.18 section 8.3.3.1) before its header."""
    asked = [one for value in query for one in parse_accept(value)]
    if asked:
        return asked
    return parse_accept(header) if header and header.strip() else [MediaRange("*/*")]


@dataclass(frozen=True)
class Form:
    """The chosen form of an answer.

    `transcode` is true where the stored bytes must be decoded to Explicit VR Little Endian first.
    """

    multipart: bool
    media_type: str
    transfer_syntax: str
    transcode: bool


def _frame_form(one: MediaRange, stored: str, media_type: str, *, multipart: bool) -> Form | None:
    """The form of frames in a media type, or None where this range cannot be met."""
    asked = one.transfer_syntax
    if media_type == OCTETS:
        if asked in ("*", stored):
            return Form(multipart, OCTETS, stored, transcode=False)
        if asked in ("", EXPLICIT_LITTLE, IMPLICIT_LITTLE):
            # Native frames are the same bytes in both little-endian syntaxes.
            target = asked or EXPLICIT_LITTLE
            same = stored in (EXPLICIT_LITTLE, IMPLICIT_LITTLE, DEFLATED)
            return Form(multipart, OCTETS, target, transcode=not same)
        return None
    if MEDIA_TYPES.get(stored) == media_type and asked in ("", "*", stored):
        return Form(multipart, media_type, stored, transcode=False)
    return None


def _frame_candidates(one: MediaRange, stored: str, *, single: bool) -> Iterator[Form | None]:
    compressed = MEDIA_TYPES.get(stored, "")
    multipart = one.covers("multipart/related")
    if not multipart and not single:
        return
    wanted = MediaRange(one.inner or "*/*") if multipart else one
    if wanted.covers(OCTETS):
        yield _frame_form(one, stored, OCTETS, multipart=multipart)
    if compressed and wanted.covers(compressed):
        yield _frame_form(one, stored, compressed, multipart=multipart)


def frames_form(ranges: list[MediaRange], stored: str, *, count: int) -> Form:
    """How to send `count` frames that are stored in the transfer syntax `stored`.

    Raises:
        NotAcceptable: when no accepted form can be made.
    """
    for one in ranges:
        for form in _frame_candidates(one, stored, single=count == 1):
            if form is not None:
                return form
    raise NotAcceptable(
        "Frames are sent as multipart/related; type=application/octet-stream (one frame also alone), in the "
        f"stored transfer syntax {stored} or decoded to {EXPLICIT_LITTLE}."
    )


def _instance_form(one: MediaRange, stored: str, *, multipart: bool) -> Form | None:
    asked = one.transfer_syntax
    if asked in ("*", stored) or (not asked and stored == EXPLICIT_LITTLE):
        return Form(multipart, DICOM, stored, transcode=False)
    if asked in ("", EXPLICIT_LITTLE):
        return Form(multipart, DICOM, EXPLICIT_LITTLE, transcode=True)
    return None


def instance_form(ranges: list[MediaRange], stored: str, *, single: bool) -> Form:
    """How to send a whole instance; alone (``application/dicom``) only where `single`.

    Raises:
        NotAcceptable: when no accepted form can be made.
    """
    for one in ranges:
        form = None
        if one.covers("multipart/related") and MediaRange(one.inner or "*/*").covers(DICOM):
            form = _instance_form(one, stored, multipart=True)
        elif single and one.covers(DICOM):
            form = _instance_form(one, stored, multipart=False)
        if form is not None:
            return form
    raise NotAcceptable(
        "Instances are sent as multipart/related; type=application/dicom, in the stored transfer syntax "
        f"{stored} or decoded to {EXPLICIT_LITTLE}."
    )


def pick(ranges: list[MediaRange], offered: list[str], what: str) -> str:
    """The first offered media type that a range covers, by the client's preference.

    Raises:
        NotAcceptable: when none is accepted.
    """
    for one in ranges:
        for media_type in offered:
            if one.covers(media_type):
                return media_type
    raise NotAcceptable(f"{what} is sent as {' or '.join(offered)}.")
