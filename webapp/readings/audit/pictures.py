"""Trivial statistics of an image that tell how it was made rather than what it shows."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from synthesis.imaging.body import largest, otsu
from webapp.readings.audit.auc import Float
from webapp.readings.audit.observation import Pixels

FRAMES = 5  # of a volume, evenly spaced
PERCENTILES = (0.5, 1, 5, 10, 25, 50, 75, 90, 95, 99, 99.5, 99.9)
BANDS = 8  # rings of the power spectrum, up to half a cycle per pixel
HISTOGRAM = 16
_LAPLACE = np.array([[1.0, -2.0, 1.0], [-2.0, 4.0, -2.0], [1.0, -2.0, 1.0]])

Frame = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def pixel_statistics(pixels: Pixels, histogram: tuple[int, int]) -> dict[str, float]:
    """Every statistic of one item's pixels [frames, rows, columns] int16, by name in plain words.

    Frame statistics are means over at most FRAMES evenly spaced frames. histogram: lowest and highest
    value over all items of the study, so that the bins mean the same everywhere.
    """
    frames, rows, columns = pixels.shape
    found = {"frames": float(frames), "rows": float(rows), "columns": float(columns)}
    chosen = np.unique(np.linspace(0, frames - 1, min(frames, FRAMES)).round().astype(int))
    gathered = [dict(_frame(pixels[index].astype(np.int64), histogram)) for index in chosen]
    for name in gathered[0]:
        found[name] = float(np.mean([one[name] for one in gathered]))
    found |= _whole(pixels)
    if frames > 1:
        steps = np.abs(np.diff(pixels.astype(np.float64), axis=0)).mean(axis=(1, 2))
        found["mean change between neighbouring frames"] = float(steps.mean())
        found["unevenness of the changes between frames"] = float(steps.std())
    return found


def _whole(pixels: Pixels) -> dict[str, float]:
    """Range and grid of the values, over all frames."""
    values, counts = np.unique(pixels, return_counts=True)
    gaps = np.diff(values.astype(np.int64))
    total = float(pixels.size)
    found = {
        "lowest value": float(values[0]),
        "highest value": float(values[-1]),
        "share of pixels at the lowest value": float(counts[0]) / total,
        "share of pixels at the highest value": float(counts[-1]) / total,
        "gap above the lowest value": float(gaps[0]) if len(gaps) else 0.0,
        "gap below the highest value": float(gaps[-1]) if len(gaps) else 0.0,
        "different values": float(len(values)),
        "step between values": float(np.gcd.reduce(gaps)) if len(gaps) else 0.0,
        "most frequent value": float(values[int(np.argmax(counts))]),
        "share of pixels at the most frequent value": float(counts.max()) / total,
        "share of pixels at exactly 0": float(counts[values == 0].sum()) / total,
        "empty places in the histogram": 1.0 - len(values) / float(int(values[-1]) - int(values[0]) + 1),
    }
    for divisor in (2, 4, 5, 10, 16):
        found[f"share of values divisible by {divisor}"] = float(counts[values % divisor == 0].sum()) / total
    return found


def _frame(frame: Frame, histogram: tuple[int, int]) -> Iterator[tuple[str, float]]:
    real = frame.astype(np.float64)
    for percent, value in zip(PERCENTILES, np.percentile(real, PERCENTILES)):
        yield f"percentile {percent:g}", float(value)
    yield "mean", float(real.mean())
    yield "spread", float(real.std())
    edges = np.linspace(histogram[0] - 0.5, histogram[1] + 0.5, HISTOGRAM + 1)
    counts = np.histogram(real, bins=edges)[0] / real.size
    for number, share in enumerate(counts, start=1):
        yield f"histogram bin {number} of {HISTOGRAM}", float(share)
    yield "size when compressed", float(len(zlib.compress(frame.astype("<i2").tobytes(), 1)))
    yield from _regions(real)
    yield from _spectrum(real)
    yield from _interpolation(real)
    yield from _borders(frame)


# --- regions: background, tissue and what lies outside the body


def _regions(real: Float) -> Iterator[tuple[str, float]]:
    low = real.min()
    tissue = ndimage.uniform_filter(real, 3) > otsu(real) if np.ptp(real) > 0 else np.zeros(real.shape, bool)
    body = np.asarray(ndimage.binary_fill_holes(largest(tissue)))
    outside = ~ndimage.binary_dilation(body, iterations=3)
    inside = np.asarray(ndimage.binary_erosion(body, iterations=2))
    laplace = np.abs(ndimage.convolve(real, _LAPLACE, mode="nearest"))
    yield "body: share of the image", float(body.mean())
    yield from _place(body)
    for name, region in (("outside the body", outside), ("inside the body", inside)):
        values, edges = real[region], laplace[region]
        there = values.size > 0
        yield f"{name}: mean", float(values.mean()) if there else 0.0
        yield f"{name}: spread", float(values.std()) if there else 0.0
        # Immerkaer, Comput Vis Image Underst 1996;64:300: sigma = sqrt(pi/2) mean|L * I| / 6.
        yield f"{name}: noise", float(np.sqrt(np.pi / 2) * edges.mean() / 6) if there else 0.0
        yield f"{name}: noise floor", float(np.percentile(edges, 10)) if there else 0.0
        yield f"{name}: flat pixels", float((edges == 0).mean()) if there else 0.0
        yield f"{name}: share at the lowest value", float((values == low).mean()) if there else 0.0
    yield from _apart(real, outside, low)


def _place(body: Mask) -> Iterator[tuple[str, float]]:
    rows, columns = np.nonzero(body)
    sizes = body.shape
    for name, where, size in (("row", rows, sizes[0]), ("column", columns, sizes[1])):
        there = where.size > 0
        yield f"body: middle {name}", float(where.mean()) / size if there else 0.5
        yield f"body: first {name}", float(where.min()) / size if there else 0.0
        yield f"body: last {name}", float(where.max()) / size if there else 0.0


def _apart(real: Float, outside: Mask, low: float) -> Iterator[tuple[str, float]]:
    """Things beside the body: a table, a marker, cloth."""
    values = real[outside]
    floor = (
        max(float(np.median(values)) + 6 * float(np.median(np.abs(values - np.median(values)))), low)
        if (values.size)
        else low
    )
    things = outside & (real > floor + 1)
    parts, count = ndimage.label(things)
    sizes = np.bincount(parts.ravel())[1:] if count else np.zeros(1)
    yield "beside the body: share of the image", float(things.mean())
    yield "beside the body: largest thing", float(sizes.max()) / real.size
    yield "beside the body: number of things", float((sizes > 4).sum())
    yield "beside the body: brightest", float(values.max() - low) if values.size else 0.0


# --- spectrum


def spectrum_slope(real: Float) -> float:
    """Slope of the radial power spectrum of [rows, columns] in decades per decade of frequency."""
    return dict(_spectrum(real))["spectrum: slope"]


def _spectrum(real: Float) -> Iterator[tuple[str, float]]:
    """Slope and rings of the power spectrum, and how much finer the rows are than the columns."""
    window = np.outer(np.hanning(real.shape[0]), np.hanning(real.shape[1]))
    power = np.abs(np.fft.rfft2((real - real.mean()) * window)) ** 2
    along_rows = np.abs(np.fft.fftfreq(real.shape[0]))[:, None]
    along_columns = np.fft.rfftfreq(real.shape[1])[None, :]
    radius = np.hypot(along_rows, along_columns)
    total = max(float(power.sum()), 1e-12)
    ring = np.minimum((radius * 2 * BANDS).astype(int), BANDS)
    sums = np.bincount(ring.ravel(), power.ravel(), BANDS + 1)
    counts = np.maximum(np.bincount(ring.ravel(), minlength=BANDS + 1), 1)
    for number in range(BANDS + 1):
        name = f"spectrum: ring {number + 1} of {BANDS}" if number < BANDS else "spectrum: corners"
        yield name, float(np.log10(sums[number] / total + 1e-12))
    level = np.log10(sums[1:BANDS] / counts[1:BANDS] + 1e-12)
    place = np.log10((np.arange(1, BANDS) + 0.5) / (2 * BANDS))
    yield "spectrum: slope", float(np.polyfit(place, level, 1)[0])
    fine_rows = power[np.broadcast_to((along_rows > 0.35) & (along_columns < 0.15), power.shape)].sum()
    fine_columns = power[np.broadcast_to((along_columns > 0.35) & (along_rows < 0.15), power.shape)].sum()
    yield (
        "spectrum: fine detail down against across",
        float(np.log10((fine_rows + 1e-9) / (fine_columns + 1e-9))),
    )
    peak = power[radius > 0.25]
    median = float(np.median(peak)) if peak.size else 0.0
    yield "spectrum: highest peak in the fine detail", float(np.log10((peak.max() + 1e-9) / (median + 1e-9)))


def _interpolation(real: Float) -> Iterator[tuple[str, float]]:
    """Periodic variance of second differences, which resampling leaves (Gallagher, CRV 2005)."""
    for name, image in (("across", real), ("down", real.T)):
        second = np.abs(np.diff(image, 2, axis=1)).mean(axis=0)
        power = np.abs(np.fft.rfft(second - second.mean()))[max(2, len(second) // 16) :]
        middle = float(np.median(power)) if power.size else 0.0
        yield f"traces of resampling {name}", float(power.max() / (middle + 1e-9)) if power.size else 0.0
        correlation = np.diff(image, axis=1)
        ahead, behind = correlation[:, 1:].ravel(), correlation[:, :-1].ravel()
        scale = float(np.sqrt((ahead**2).mean() * (behind**2).mean()))
        yield f"smoothness {name}", float((ahead * behind).mean()) / scale if scale > 0 else 0.0


# --- borders and corners


def _borders(frame: Frame) -> Iterator[tuple[str, float]]:
    low = frame.min()
    strips = {"top": frame[0], "bottom": frame[-1], "left": frame[:, 0], "right": frame[:, -1]}
    for name, strip in strips.items():
        yield f"border: mean at the {name}", float(strip.mean())
        yield f"border: unevenness at the {name}", float(strip.std())
        yield f"border: lowest value at the {name}", float((strip == low).mean())
    side = max(4, min(frame.shape) // 8)
    corners = (
        frame[:side, :side],
        frame[:side, -side:],
        frame[-side:, :side],
        frame[-side:, -side:],
    )
    names = ("upper left", "upper right", "lower left", "lower right")
    for name, corner in zip(names, corners):
        yield f"corner {name}: contrast", float(corner.max() - np.median(corner))
        yield f"corner {name}: lowest value", float((corner == low).mean())
    yield "left against right", _likeness(frame, frame[:, ::-1])


def _likeness(one: Frame, other: Frame) -> float:
    first, second = one - one.mean(), other - other.mean()
    scale = float(np.sqrt((first**2).mean() * (second**2).mean()))
    return float((first * second).mean()) / scale if scale > 0 else 0.0
