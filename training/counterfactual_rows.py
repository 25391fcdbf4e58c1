"""The rows of the table of counterfactuals: methods and options against each other."""

from __future__ import annotations

from synthesis.edit_request import EditOptions

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
