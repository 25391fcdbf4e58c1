"""The rows of the table of counterfactuals: methods and options against each other."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from synthesis.edit_request import FIRST_ORDER_STEPS, EditOptions, methods_of

WORDED = EditOptions(method="pix2pix_zero", steps=FIRST_ORDER_STEPS)
ROWS: dict[str, EditOptions] = {
    "flow_inversion": EditOptions(),
    "flow_inversion, whole image": EditOptions(confined=False),
    "flow_inversion, from the noise": EditOptions(strength=1.0),
    "flow_inversion, contrast 1": EditOptions(contrast=1.0),
    "flow_inversion, blended": EditOptions(blend=True),
    "flow_inversion, drift 0.1 init_only": EditOptions(drift=0.1, drift_scheme="init_only"),
    "flow_inversion, drift 0.1 noise": EditOptions(drift=0.1),
    "guided": EditOptions(method="guided"),
    "instruct_pix2pix": EditOptions(method="instruct_pix2pix"),
    "instruct_pix2pix, one step": EditOptions(method="instruct_pix2pix", steps=1),
    "instruct_pix2pix, whole image": EditOptions(method="instruct_pix2pix", confined=False),
    "instruct_pix2pix, blended": EditOptions(method="instruct_pix2pix", blend=True),
    "instruct_pix2pix, guidance 2": EditOptions(method="instruct_pix2pix", guidance=2.0),
    "instruct_pix2pix, drift 0.1 init_only": EditOptions(
        method="instruct_pix2pix", drift=0.1, drift_scheme="init_only"
    ),
    "pix2pix_zero": WORDED,
    "pix2pix_zero, attention 0": replace(WORDED, attention=0.0),
    "pix2pix_zero, whole image": replace(WORDED, confined=False),
    "pix2pix_zero, blended": replace(WORDED, blend=True),
    "pix2pix_zero, drift 0.1 init_only": replace(WORDED, drift=0.1, drift_scheme="init_only"),
}


def row_of(text: str) -> tuple[str, EditOptions]:
    """A row from the command line: "0.4,1.5", or "0.4,1.5,12" with its steps each way."""
    strength, contrast, *steps = (float(one) for one in text.split(","))
    options = EditOptions(
        strength=strength, contrast=contrast, steps=int(steps[0]) if steps else EditOptions().steps
    )
    said = f", {options.steps} steps" if steps else ""
    return f"strength {strength:g}, contrast {contrast:g}{said}", options


def instructed_row(text: str) -> tuple[str, EditOptions]:
    """A row of instruct_pix2pix from the command line: "4,1.5,1" or "4,1.5,1,0.8"."""
    steps, guidance, image_guidance, *strength = (float(one) for one in text.split(","))
    options = EditOptions(
        method="instruct_pix2pix",
        steps=int(steps),
        guidance=guidance,
        image_guidance=image_guidance,
        strength=strength[0] if strength else None,
    )
    return f"instructed {text}", options


def worded_row(text: str) -> tuple[str, EditOptions]:
    """A row of pix2pix_zero from the command line: "1,2,0.1" or "1,2,0.1,40"."""
    strength, contrast, attention, *steps = (float(one) for one in text.split(","))
    options = replace(WORDED, strength=strength, contrast=contrast, attention=attention)
    return f"worded {text}", replace(options, steps=int(steps[0])) if steps else options


def rows_for(recipe: Mapping[str, Any]) -> list[str]:
    """The rows that a model of this recipe can make, all of them."""
    return [row for row, options in ROWS.items() if options.method in methods_of(recipe)]


def add_rows(parser: argparse.ArgumentParser) -> None:
    """The options of a command line that say which rows are wanted."""
    parser.add_argument(
        "--rows",
        nargs="*",
        choices=sorted(ROWS),
        metavar="ROW",
        help="by default all that the model can make",
    )
    more = (
        ("--also", row_of, "STRENGTH,CONTRAST[,STEPS]", "flow_inversion"),
        ("--instructed", instructed_row, "STEPS,GUIDANCE,IMAGE_GUIDANCE[,STRENGTH]", "instruct_pix2pix"),
        ("--worded", worded_row, "STRENGTH,CONTRAST,ATTENTION[,STEPS]", "pix2pix_zero"),
    )
    for name, kind, form, method in more:
        told = f"more rows of {method}, to choose its options by (on the validation split)"
        parser.add_argument(name, nargs="+", type=kind, default=[], metavar=form, help=told)


def rows_asked(asked: argparse.Namespace, recipe: Mapping[str, Any]) -> dict[str, EditOptions]:
    """The rows of a command line, by name, for a model of this recipe."""
    named = rows_for(recipe) if asked.rows is None else asked.rows
    return {row: ROWS[row] for row in named} | dict([*asked.also, *asked.instructed, *asked.worded])
