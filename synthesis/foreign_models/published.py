"""The configurations in which the five families were published: facts for files that carry none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from synthesis.errors import SynthesisError

FOLDER = Path(__file__).resolve().parent.parent / "backbones" / "published"


def published_config(family: str, component: str) -> dict[str, Any]:
    """The settings of a component as the family's makers published it.

    Raises SynthesisError for a component that the family was not published with.
    """
    path = FOLDER / f"{family}.json"
    values = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    found = values.get("components", {}).get(component)
    if not isinstance(found, dict):
        raise SynthesisError(
            f"The settings of the {component} are not known. Name a folder with its config.json under "
            "“parts” in the about-file."
        )
    return found
