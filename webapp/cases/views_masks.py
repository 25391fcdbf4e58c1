"""Masks to and from the viewer: the list, the voxels, a new version, a small picture."""

import json
import zlib
from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import UUID

import numpy as np
from django.core.files.storage import default_storage
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from webapp.cases.dicomweb.encoding import etag_of, not_modified, private
from webapp.cases.dicomweb.rendering import encoded
from webapp.cases.models import Case, Mask, MaskOrigin
from webapp.cases.previews import slice_picture
from webapp.cases.services import mask_save
from webapp.cases.viewer import mask_config
from webapp.cases.views_viewer import visible_case
from webapp.core.errors import ApplicationError, NotVisible
from webapp.core.problems import problem_response

MOST_LABELS = 255
View = Callable[..., HttpResponseBase]


def signed_in(view: View) -> View:
    """401 as a document for whoever is signed out: these addresses are called by scripts, not opened."""

    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return problem_response(request, 401, _("You are signed out. Sign in again, then retry."))
        return view(request, *args, **kwargs)

    return checked


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def mask_list(request: HttpRequest, case_id: UUID) -> HttpResponseBase:
    """GET: the case's current masks. POST: save a painted mask as a new one or as the next version.

    The form carries ``name``, ``labels`` (JSON), ``shape`` (JSON: slices, rows, columns), the file
    ``voxels`` (zlib-compressed little-endian uint16 in that order) and, to replace a mask,
    ``expected_version``: 409 where somebody has saved a newer one.
    """
    if request.method == "POST":
        return _save(request.user, request, visible_case(request, case_id, "annotate"))
    case = visible_case(request, case_id)
    current = case.masks.filter(replaced_by__isnull=True).order_by("name")
    return JsonResponse({"masks": [mask_config(mask) for mask in current]})


def _save(user: Any, request: HttpRequest, case: Case) -> HttpResponse:
    expected = request.POST.get("expected_version", "")
    if expected and not expected.isdecimal():
        raise ApplicationError(_("The version must be a whole number."), field="expected_version")
    mask = mask_save(
        user=user,
        case=case,
        name=request.POST.get("name", "").strip(),
        array=_voxels(request.FILES.get("voxels"), case),
        labels=_labels(request.POST.get("labels", "")),
        origin=MaskOrigin.PAINTED,
        expected_version=int(expected) if expected else None,
    )
    return JsonResponse(mask_config(mask), status=201)


def _voxels(upload: Any, case: Case) -> np.ndarray:
    """The painted array, uint16 [slices, rows, columns], out of the uploaded file.

    Never more is unpacked than the case has voxels.

    Raises:
        ApplicationError: when it is missing, damaged, or not of the case's size.
    """
    if upload is None:
        raise ApplicationError(_("The mask came without its voxels. Nothing was saved."), field="voxels")
    shape = (case.slice_count, case.rows, case.columns)
    size = int(np.prod(shape)) * 2
    unpacking = zlib.decompressobj()
    raw = bytearray()
    try:
        for chunk in upload.chunks(1 << 18):
            raw += unpacking.decompress(chunk, size + 1 - len(raw))
            if len(raw) > size or unpacking.unconsumed_tail:
                break
    except zlib.error as error:
        raise ApplicationError(
            _("The mask arrived damaged. Nothing was saved; save it again."), field="voxels"
        ) from error
    if len(raw) != size or not unpacking.eof:
        raise ApplicationError(
            _("The mask is not of this case's size (%(slices)s slices of %(rows)s × %(columns)s).")
            % {"slices": shape[0], "rows": shape[1], "columns": shape[2]},
            field="voxels",
        )
    return np.frombuffer(bytes(raw), "<u2").reshape(shape)


def _labels(text: str) -> list[dict[str, Any]]:
    """The labels as the viewer sent them; `mask_save` checks what is in them.

    Raises:
        ApplicationError: when it is no list of objects.
    """
    try:
        labels = json.loads(text)
    except ValueError as error:
        raise ApplicationError(_("The labels could not be read."), field="labels") from error
    if not isinstance(labels, list) or not all(isinstance(label, dict) for label in labels):
        raise ApplicationError(_("The labels could not be read."), field="labels")
    if len(labels) > MOST_LABELS:
        raise ApplicationError(_("A mask has at most 255 labels."), field="labels")
    return labels


def _visible_mask(request: HttpRequest, case_id: UUID, mask_id: UUID) -> Mask:
    case = visible_case(request, case_id)
    mask = Mask.objects.filter(pk=mask_id, case=case).first()
    if mask is None:
        raise NotVisible
    mask.case = case
    return mask


@signed_in
@require_safe
def mask_voxels(request: HttpRequest, case_id: UUID, mask_id: UUID) -> HttpResponseBase:
    """The voxels as stored: zlib-compressed little-endian uint16, [slices, rows, columns]."""
    mask = _visible_mask(request, case_id, mask_id)
    etag = etag_of("mask", mask.pk, mask.content_sha256)
    unchanged = not_modified(request, etag)
    if unchanged is not None:
        return unchanged
    response = FileResponse(default_storage.open(mask.file, "rb"), content_type="application/octet-stream")
    return private(response, etag)


def _slice_of(request: HttpRequest, case: Case) -> int:
    text = request.GET.get("slice", "")
    if not text:
        return case.slice_count // 2
    if not text.isdecimal() or len(text) > 6 or int(text) >= case.slice_count:
        raise ApplicationError(
            _("This case has the slices 0 to %(last)s.") % {"last": case.slice_count - 1}, field="slice"
        )
    return int(text)


def _picture(request: HttpRequest, case: Case, mask: Mask | None) -> HttpResponseBase:
    index = _slice_of(request, case)
    etag = etag_of("preview", case.pk, case.content_sha256, index, mask and mask.content_sha256)
    unchanged = not_modified(request, etag)
    if unchanged is not None:
        return unchanged
    image = encoded(slice_picture(case, index, mask), "image/png", 0)
    return private(HttpResponse(image, content_type="image/png"), etag)


@signed_in
@require_safe
def mask_preview(request: HttpRequest, case_id: UUID, mask_id: UUID) -> HttpResponseBase:
    """A slice (``?slice=`` from 0, else the middle one) with the mask over it, as PNG."""
    mask = _visible_mask(request, case_id, mask_id)
    return _picture(request, mask.case, mask)


@signed_in
@require_safe
def case_preview(request: HttpRequest, case_id: UUID) -> HttpResponseBase:
    """A slice (``?slice=`` from 0, else the middle one) as PNG."""
    return _picture(request, visible_case(request, case_id), None)
