"""The identifiers of an item as one reader sees it: made from the reader's token, related to nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.crypto import salted_hmac

_SALT = "webapp.readings.serving"
_LEAST = 10**38
_SPAN = 2**128 - _LEAST


@dataclass(frozen=True, kw_only=True)
class Uids:
    """Study, series, instance and frame of reference of one token."""

    study: str
    series: str
    instance: str
    frame_of_reference: str


def _uid(token: str, kind: str) -> str:
    """A UID under 2.25 (DICOM PS3.5 B.2) of always 44 characters: HMAC-SHA-256 of kind and token."""
    digest = salted_hmac(_SALT, f"{kind}:{token}", algorithm="sha256").digest()
    return f"2.25.{_LEAST + int.from_bytes(digest, 'big') % _SPAN}"


def uids_of(token: str) -> Uids:
    """The identifiers of one token; always the same, and of no use without the site's secret key."""
    return Uids(
        study=_uid(token, "study"),
        series=_uid(token, "series"),
        instance=_uid(token, "instance"),
        frame_of_reference=_uid(token, "frame of reference"),
    )
