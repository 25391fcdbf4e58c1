"""Answers whose media type the view itself decides."""

from typing import Any

from rest_framework.negotiation import BaseContentNegotiation


class OwnNegotiation(BaseContentNegotiation):
    """Leaves the Accept header to the view: for files, and for DICOM's media types, whose parameters matter.

    Problems are told in the first of the view's renderers.
    """

    def select_parser(self, request: Any, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Any, renderers: Any, format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type
