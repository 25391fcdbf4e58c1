"""What did you see? A few words of the reader's own.

Stored: {"text": up to 2000 characters}.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from webapp.core.errors import ApplicationError

LONGEST = 2000


@dataclass(frozen=True, kw_only=True)
class FreeText:
    """hint: what the empty field says."""

    hint: str = field(
        default="",
        metadata={
            "label": gettext_lazy("Hint"),
            "help": gettext_lazy("Stands in the empty field, such as “What gave it away?”"),
            "is_optional": True,
        },
    )

    about: ClassVar[str | Promise] = gettext_lazy("Remarks in the reader's own words.")

    def validate(self, value: Any) -> dict[str, Any]:
        """{"text": text}, trimmed. Raises ApplicationError for anything but text, or for too long a one."""
        text = value.get("text") if isinstance(value, dict) else None
        if not isinstance(text, str):
            raise ApplicationError(_("Write a few words."))
        text = text.replace("\x00", "").strip()
        if len(text) > LONGEST:
            raise ApplicationError(
                _("This is %(length)d characters long; there is room for %(longest)d.")
                % {"length": len(text), "longest": LONGEST}
            )
        return {"text": text}

    def widget(self) -> dict[str, Any]:
        """A text field."""
        return {
            "kind": "text",
            "field": "text",
            "max_length": LONGEST,
            "hint": self.hint,
            "forced": None,
        }

    def score(self, value: Mapping[str, Any]) -> float | None:
        """None: words are no number."""
        return None

    def words(self, value: Mapping[str, Any]) -> str:
        """The text itself."""
        return str(value["text"])
