"""Answers as DICOMweb wants them: multipart streams, DICOM JSON streams, cache headers."""

import hashlib
import json
import secrets
from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import Any, TypeVar

from django.core.files.storage import default_storage
from django.http import HttpResponse, StreamingHttpResponse
from django.http.request import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.utils.http import parse_etags, quote_etag
from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import ExplicitVRLittleEndian
from rest_framework.exceptions import NotAcceptable

from webapp.cases.dicomweb.accept import DICOM_JSON, Form
from webapp.cases.models import Instance

CHUNK = 256 * 1024
Response = TypeVar("Response", bound=HttpResponseBase)
FRAME_LIFETIME_S = 3600


def etag_of(*parts: object) -> str:
    """A strong entity tag over the parts."""
    return quote_etag(hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()[:32])


def not_modified(request: HttpRequest, etag: str) -> HttpResponse | None:
    """304 where the client already holds exactly this answer."""
    held = parse_etags(request.headers.get("If-None-Match", ""))
    if etag in held or "*" in held:
        return private(HttpResponse(status=304), etag)
    return None


def private(response: Response, etag: str, *, lifetime_s: int = 0) -> Response:
    """Mark an answer as this person's own: kept by their browser only, and asked for again after its time."""
    response.headers["ETag"] = etag
    response.headers["Cache-Control"] = (
        f"private, max-age={lifetime_s}" if lifetime_s else "private, no-cache"
    )
    patch_vary_headers(response, ["Accept", "Authorization", "Cookie"])
    return response


def json_stream(items: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    """A JSON array, item by item."""
    yield b"["
    for number, item in enumerate(items):
        yield b"," * bool(number) + json.dumps(item, separators=(",", ":")).encode()
    yield b"]"


def json_response(items: Iterable[dict[str, Any]]) -> StreamingHttpResponse:
    """A stream of DICOM JSON."""
    return StreamingHttpResponse(json_stream(items), content_type=DICOM_JSON)


def part_type(form: Form) -> str:
    """The Content-Type of one part: always with its transfer syntax, for without it Implicit VR is meant."""
    return f"{form.media_type}; transfer-syntax={form.transfer_syntax}"


Part = tuple[str, Iterable[bytes]]
"""The content type and the chunks of one part."""


def _multipart(parts: Iterable[Part], boundary: str) -> Iterator[bytes]:
    for content_type, chunks in parts:
        yield f"--{boundary}\r\nContent-Type: {content_type}\r\n\r\n".encode()
        yield from chunks
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()


def multipart_response(parts: Iterable[Part], inner: str) -> StreamingHttpResponse:
    """A multipart/related stream. The boundary is random, so that no pixel data can contain it."""
    boundary = secrets.token_hex(20)
    return StreamingHttpResponse(
        _multipart(parts, boundary), content_type=f'multipart/related; type="{inner}"; boundary={boundary}'
    )


def multipart_body(parts: Iterable[Part], inner: str) -> HttpResponse:
    """The same for a few small parts, at once and with its length."""
    boundary = secrets.token_hex(20)
    return HttpResponse(
        b"".join(_multipart(parts, boundary)),
        content_type=f'multipart/related; type="{inner}"; boundary={boundary}',
    )


def stored_file(instance: Instance) -> Iterator[bytes]:
    """The stored file in chunks, the file closed at the end."""
    with default_storage.open(instance.file, "rb") as file:
        yield from file.chunks(CHUNK)


def explicit_little_file(instance: Instance) -> bytes:
    """The instance written anew in Explicit VR Little Endian, its pixels decoded.

    Raises:
        NotAcceptable: when no decoder can read its pixels.
    """
    with default_storage.open(instance.file, "rb") as file:
        dataset = dcmread(file)
    try:
        if dataset.file_meta.TransferSyntaxUID.is_compressed:
            dataset.decompress(as_rgb=False, generate_instance_uid=False)
        if "PixelData" in dataset and not dataset.original_encoding[1]:
            _swap_pixels(dataset)
        buffer = BytesIO()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.save_as(buffer, implicit_vr=False, little_endian=True, enforce_file_format=True)
    except (NotImplementedError, RuntimeError, ValueError, AttributeError, InvalidDicomError) as error:
        raise NotAcceptable(
            f"This instance is stored in transfer syntax {instance.transfer_syntax_uid}, which could not be "
            f"decoded here ({error}). Ask for it with transfer-syntax=*."
        ) from error
    return buffer.getvalue()


def _swap_pixels(dataset: Any) -> None:
    """Big-endian native pixels to little endian (pydicom rewrites the attributes, not the pixels)."""
    pixels = dataset.pixel_array
    dataset.PixelData = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()


def instance_chunks(instance: Instance, form: Form) -> Iterable[bytes]:
    """The bytes of an instance in the chosen form."""
    return [explicit_little_file(instance)] if form.transcode else stored_file(instance)
