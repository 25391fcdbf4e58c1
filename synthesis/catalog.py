"""Table of contents: every method's name, label and address. Nothing heavy is imported to read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True)
class Entry:
    """One method: its `name` in requests, its `label` on screens, its `address` "module:attribute".

    `steps` is the only number of steps that a sampler takes; None leaves it to the request.
    """

    name: str
    label: str
    address: str
    steps: int | None = None

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
    Entry(
        "shortcut",
        "Shortcut (learned long steps; for models that were trained for them)",
        "synthesis.samplers.shortcut:shortcut",
    ),
    Entry("heun", "Heun (second order, two calls per step)", "synthesis.samplers.heun:heun"),
    Entry("rft", "RFT (Tweedie-corrected rectified flow)", "synthesis.samplers.rft:rft"),
    Entry(
        "victr_literal",
        "ViCTr as printed (not exact: loses diversity)",
        "synthesis.samplers.victr_literal:victr_literal",
    ),
    Entry("ddim", "DDIM (for networks that predict noise)", "synthesis.samplers.ddim:ddim"),
    Entry("dpmpp", "DPM-Solver++ (multistep, from diffusers)", "synthesis.samplers.dpmpp:dpmpp"),
    Entry("unipc", "UniPC (multistep, from diffusers)", "synthesis.samplers.unipc:unipc"),
    Entry(
        "one_step",
        "One step (the average image: no variety)",
        "synthesis.samplers.one_step:one_step",
        steps=1,
    ),
    Entry(
        "one_step_literal",
        "ViCTr's one step as printed (not an image: the average minus the noise)",
        "synthesis.samplers.one_step:one_step_literal",
        steps=1,
    ),
)
