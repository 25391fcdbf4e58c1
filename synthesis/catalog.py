"""Table of contents: every method's name, label and address. Nothing heavy is imported to read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True)
class Entry:
    """One method: its `name` in requests, its `label` on screens, its `address` "module:attribute"."""

    name: str
    label: str
    address: str

    def load(self) -> Any:
        """The function or class at the address; this is where its module is first imported."""
        module, attribute = self.address.split(":")
        return getattr(import_module(module), attribute)

    def load_options(self) -> Any:
        """The `Options` dataclass that stands beside the method."""
        return import_module(self.address.split(":")[0]).Options


def _shelf(*entries: Entry) -> Mapping[str, Entry]:
    return MappingProxyType({entry.name: entry for entry in entries})


SAMPLERS = _shelf(
    Entry("euler", "Euler (first order)", "synthesis.samplers.euler:euler"),
    Entry("heun", "Heun (second order, two calls per step)", "synthesis.samplers.heun:heun"),
    Entry("rft", "RFT (Tweedie-corrected rectified flow)", "synthesis.samplers.rft:rft"),
    Entry(
        "victr_literal",
        "ViCTr as printed (not exact: loses diversity)",
        "synthesis.samplers.victr_literal:victr_literal",
    ),
)
