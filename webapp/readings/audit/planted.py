"""Every leak that is known of blinded studies, each to be planted alone into one of two equal arms.

What MAISI's inference script does to its images, DICOM attributes, and all that an HTTP answer carries
beside its body.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import numpy as np
from scipy import ndimage

from webapp.readings.audit.auc import Float
from webapp.readings.audit.simulated import AIR, PADDING, Item, Leak, uid

Change = Callable[[Float, np.random.Generator], Float]


def tag(number: str, real: object, synthetic: object, vr: str = "LO") -> Leak:
    """An attribute with one value per arm (None: not there); a callable draws one."""

    def leak(item: Item) -> None:
        value = synthetic if item.leaks else real
        value = value(item) if callable(value) else value
        if value is not None:
            item.metadata[number] = {"vr": vr, "Value": value if isinstance(value, list) else [value]}

    return leak


def pixels(change: Change) -> Leak:
    """A change of the synthetic pixels: [rows, columns] float to the same, with the item's generator."""

    def leak(item: Item) -> None:
        if item.leaks:
            made = change(item.pixels[0].astype(float), item.rng)
            item.pixels = np.rint(made)[None].astype(np.int16)

    return leak


def for_synthetic(change: Callable[[Item], Any]) -> Leak:
    """A change of the synthetic items alone."""

    def leak(item: Item) -> None:
        if item.leaks:
            change(item)

    return leak


def a_day(item: Item, since: date = date(2012, 1, 1), days: int = 3000) -> str:
    """A date at random, as DICOM writes it."""
    return (since + timedelta(days=int(item.rng.integers(days)))).strftime("%Y%m%d")


# --- pixels


def forced_outside(image: Float, rng: np.random.Generator) -> Float:
    """Air at exactly -1000 around the body (MAISI, infer_image_from_mask.py)."""
    body = ndimage.binary_fill_holes(ndimage.binary_opening(image > -500, np.ones((5, 5))))
    return np.where(body, image, AIR)


def no_table(image: Float, rng: np.random.Generator) -> Float:
    """Noise of air where the table lay."""
    rows = np.arange(len(image))[:, None] / len(image) - 0.5
    table = (rows > 0.31) & (image > -700)
    return np.where(table, AIR + rng.normal(0, 20, image.shape), image)


def upsampled(image: Float, rng: np.random.Generator) -> Float:
    """Half as many pixels, interpolated back."""
    return ndimage.zoom(image[::2, ::2], 2, order=1)


def marked(image: Float, rng: np.random.Generator) -> Float:
    """A bright mark in the upper left corner."""
    image[1:4, 1:6] = 1000
    return image


PIXELS: dict[str, tuple[Change, str]] = {
    "clipped to -1000 to 1000": (lambda i, r: np.clip(i, -1000, 1000), "lowest value"),
    "exactly -1000 outside the body": (forced_outside, "outside the body"),
    "no table": (no_table, "beside the body"),
    "nothing above 1000": (lambda i, r: np.minimum(i, 1000), "highest value"),
    "padding of -1024": (lambda i, r: np.where(i == PADDING, -1024, i), "lowest value"),
    "no padding": (lambda i, r: np.where(i == PADDING, AIR + r.normal(0, 20, i.shape), i), "lowest value"),
    "less fine detail": (lambda i, r: ndimage.gaussian_filter(i, 0.5), "spectrum"),
    "more noise": (lambda i, r: i + (i > PADDING) * r.normal(0, 25, i.shape), "noise"),
    "steps of 8": (lambda i, r: np.rint(i / 8) * 8, "step between values"),
    "upsampled": (upsampled, "smoothness"),
    "a mark in the corner": (marked, "corner upper left"),
    "shifted by two pixels": (lambda i, r: np.roll(i, 2, axis=0), "row"),
    "a border": (lambda i, r: np.pad(i[1:-1, 1:-1], 1, constant_values=-1024), "border"),
}


# --- what is told along with them


def round_sizes(item: Item) -> None:
    """Rows and columns of a network's grid against those of scanners."""
    side = 512 if item.leaks else int(item.rng.choice([503, 509, 515, 521]))
    item.metadata["00280010"]["Value"] = item.metadata["00280011"]["Value"] = [side]


def round_spacing(item: Item) -> None:
    """Pixel sizes with one decimal against six."""
    spacing = round(float(item.rng.uniform(0.6, 0.95)), 1 if item.leaks else 6)
    item.metadata["00280030"]["Value"] = [spacing, spacing]


def ordered_tokens(item: Item) -> None:
    """Tokens count up in the order of the upload, and the real ones came first."""
    item.token = f"{(1000 if item.leaks else 0) + item.uploaded:032x}"


def frames(item: Item) -> None:
    """One frame more."""
    item.metadata["00280008"]["Value"] = [3 if item.leaks else 2]


def seeded_file(item: Item) -> None:
    """A file name that holds seed, size and spacing."""
    name = f"seed{item.number}_512x512_0.8mm.dcm" if item.leaks else f"IM{item.number:05d}.dcm"
    item.extra_headers["frame"] = [("Content-Disposition", f'inline; filename="{name}"')]


def etag(item: Item) -> None:
    """An ETag of the weak kind."""
    digest = item.rng.bytes(8).hex()
    item.extra_headers["frame"] = [("ETag", f'W/"{digest}"' if item.leaks else f'"{digest}"')]


def compressed(item: Item) -> None:
    """Pixels that compress better."""
    item.frame_bytes = int(item.rng.integers(2000, 2400)) - (300 if item.leaks else 0)


METADATA: dict[str, tuple[Leak, str]] = {
    "Synthetic Data": (tag("0008001C", None, "YES", "CS"), "0008001C"),
    "Manufacturer": (tag("00080070", "ACME Medical", "Semblance"), "00080070"),
    "Image Type": (tag("00080008", ["ORIGINAL", "PRIMARY"], ["DERIVED", "SECONDARY"], "CS"), "00080008"),
    "Derivation Description": (tag("00082111", None, "rectified flow"), "00082111"),
    "dates": (tag("00080020", a_day, lambda i: a_day(i, date(2026, 11, 1), 9), "DA"), "00080020"),
    "kernel": (tag("00181210", lambda i: i.rng.choice(["B30f", "B31s"]), None), "00181210"),
    "Contributing Equipment": (tag("0018A001", None, "Synthesizing Equipment"), "0018A001"),
    "root of the UIDs": (
        tag("00080018", lambda i: uid(i.rng), lambda i: "1.3.12.2" + uid(i.rng)[6:], "UI"),
        "00080018",
    ),
    "length of the UIDs": (
        tag("00080018", lambda i: uid(i.rng), lambda i: uid(i.rng) + ".1", "UI"),
        "00080018",
    ),
    "one frame of reference": (
        tag("00200052", lambda i: uid(i.rng), "2.25.1", "UI"),
        "00200052",
    ),
    "origin at 0": (
        tag("00200032", lambda i: [round(float(v), 2) for v in i.rng.uniform(-300, 300, 3)], [0, 0, 0], "DS"),
        "00200032",
    ),
    "orientation": (
        tag("00200037", lambda i: [0.9998, round(float(i.rng.uniform(0, 0.02)), 4)], [1, 0], "DS"),
        "00200037",
    ),
    "round sizes": (round_sizes, "00280010"),
    "round spacings": (round_spacing, "00280030"),
    "number of frames": (frames, "frame"),
    "file name with a seed": (seeded_file, "content-disposition"),
    "Content-Type": (
        for_synthetic(lambda i: setattr(i, "frame_type", "image/jls")),
        "frame: header content-type",
    ),
    "transfer syntax": (
        for_synthetic(lambda i: setattr(i, "frame_type", i.frame_type.replace("1.2.1", "1.2.4.80"))),
        "frame: header content-type",
    ),
    "Content-Length": (compressed, "frame: bytes"),
    "ETag of another kind": (etag, "etag"),
    "ETag in one arm": (for_synthetic(lambda i: i.headers.append(("ETag", '"1"'))), "etag"),
    "Last-Modified": (
        for_synthetic(lambda i: i.headers.append(("Last-Modified", "Mon, 02 Nov 2026 10:00:00 GMT"))),
        "last-modified",
    ),
    "Cache-Control": (
        for_synthetic(lambda i: i.headers.__setitem__(0, ("Cache-Control", "max-age=60"))),
        "cache-control",
    ),
    "order of the headers": (for_synthetic(lambda i: i.headers.reverse()), "headers in order"),
    "latency": (for_synthetic(lambda i: setattr(i, "slow", 1.15)), "time"),
    "cold cache": (for_synthetic(lambda i: setattr(i, "cold", 1.5)), "first visit"),
    "address": (
        for_synthetic(lambda i: setattr(i, "address", "/take/8d1f/items/{token}/raw/{what}")),
        "address",
    ),
    "query": (for_synthetic(lambda i: setattr(i, "address", i.address + "?v=2")), "address"),
    "order of upload": (ordered_tokens, "part 4"),
    "length of the token": (for_synthetic(lambda i: setattr(i, "token", i.token + "0")), "part 4"),
    "title on the page": (for_synthetic(lambda i: setattr(i, "page", i.page + "<h1>Case 12b</h1>")), "page"),
    "a comment on the page": (for_synthetic(lambda i: setattr(i, "page", i.page + "<!-- job -->")), "page"),
    "a hidden attribute": (
        for_synthetic(lambda i: setattr(i, "page", i.page.replace("<p>", '<p data-kind="2">'))),
        "page",
    ),
    "feedback": (for_synthetic(lambda i: i.reply.update(feedback="Right.")), "feedback"),
    "other readers' answers": (
        lambda i: i.reply.update(others=int(i.rng.binomial(10, 0.8 if i.leaks else 0.3))),
        "others",
    ),
    "an error page": (for_synthetic(lambda i: i.reply.update(outcome="refused")), "outcome"),
}
