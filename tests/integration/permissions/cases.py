"""Rows about datasets, cases, masks and imports."""

from collections.abc import Callable
from typing import Any

from tests.integration.permissions.rows import Row

OBJECTS: dict[str, tuple[str, Callable[[Any], Any]]] = {}

ROWS: list[Row] = []
