"""The addresses below an item's token: the metadata of its series, and its frames one by one."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.http import require_GET

from webapp.core.errors import NotVisible
from webapp.readings.models.study import ReadingItem
from webapp.readings.serving.access import item_for
from webapp.readings.serving.answers import for_readers, no_store
from webapp.readings.serving.metadata import metadata_body
from webapp.readings.serving.pixels import frame_bytes, multipart
from webapp.readings.serving.uids import Uids, uids_of

DICOM_JSON = "application/dicom+json"


def _item(user: Any, place_id: UUID, token: str, **asked: str) -> tuple[ReadingItem, Uids]:
    """The item and its identifiers, where those of the address are the token's own.

    Raises:
        NotVisible: for every token or identifier that is not this reader's to load now.
    """
    item = item_for(user=user, place_id=place_id, token=token)
    uids = uids_of(token)
    if not all(constant_time_compare(getattr(uids, kind), value) for kind, value in asked.items()):
        raise NotVisible
    return item, uids


@for_readers
@require_GET
def metadata(request: HttpRequest, place_id: UUID, token: str, study: str, series: str) -> HttpResponse:
    """The whitelisted attributes of the item's one instance, in one length for all items."""
    item, uids = _item(request.user, place_id, token, study=study, series=series)
    return no_store(HttpResponse(metadata_body(item, uids), content_type=DICOM_JSON))


@for_readers
@require_GET
def frame(
    request: HttpRequest, place_id: UUID, token: str, study: str, series: str, instance: str, number: int
) -> HttpResponse:
    """One frame (from 1), uncompressed, in one form whatever is asked for."""
    item, _ = _item(request.user, place_id, token, study=study, series=series, instance=instance)
    if not 1 <= number <= item.frames:
        raise NotVisible
    body, content_type = multipart(frame_bytes(item, number))
    return no_store(HttpResponse(body, content_type=content_type))
