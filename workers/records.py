"""Records work, free of torch: imports and exports."""

from __future__ import annotations

from typing import Any

from workers.lease import Work


def import_cases(work: Work) -> dict[str, Any]:
    """Take the staged files of one import run into its dataset."""
    raise NotImplementedError


def export(work: Work) -> dict[str, Any]:
    """Write the chosen results or cases as one zip."""
    raise NotImplementedError
