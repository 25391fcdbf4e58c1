"""How near to the truth an edit of severity can come: `python -m training.counterfactual_bounds`.

The image shows texture plus noise; the truth keeps the noise and has the texture of another grade, made of
the same two nodule patterns (fine and coarse) in another mixture. Per spatial frequency, with P_xx and P_yy
the power of the image before and after, P_xy what they share, and d = y - x what the edit has to supply:

    best linear estimate       P_dd - |P_dx|^2 / P_xx          (Wiener's filter)
    perfect flow inversion     g^2 P_xx + P_yy - 2 g P_xy,     g = (P_yy / P_xx)^(contrast / 2)

averaged over frequencies and divided by P_dd, square root: the RMSE to the truth in units of the unedited
image's. The patterns' own power is measured on phantoms' fields, the noise's is known. From `none` no
nodule can be seen: they are drawn independently of everything visible and average to zero, so that no
estimate of any kind, linear or not, is nearer than the unedited image (1.000), and an image with nodules
as large as they should be, but of its own, is above it, up to sqrt(2). Nodules are not Gaussian, so
elsewhere a nonlinear estimate may be a little better than the linear one.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synthesis.phantoms import GRADES, MODALITIES, Attributes
from synthesis.phantoms.contrast import tissue_values
from synthesis.phantoms.noise import CT_NOISE_HU, MR_NOISE, ct_noise_spectrum
from synthesis.phantoms.pathology import COARSE_SHARE, NODULE_MM, RIM_SHARE, TEXTURE_GAIN, nodules

Spectrum = npt.NDArray[np.float64]

SIDE = 128
PIXEL_MM = 2.9  # of the middling phantom at 128 x 128
FIELDS = 48


@dataclass(frozen=True)
class Bound:
    """RMSE to the truth over the unedited image's, and that RMSE itself in HU or signal."""

    unedited: float
    linear: float
    flow: float
    contrasted: float


def pattern_spectra(seed: int = 0, fields: int = FIELDS) -> tuple[Spectrum, Spectrum]:
    """Power [SIDE, SIDE] of the fine and of the coarse nodule pattern at unit variance, Hann-windowed."""
    axis = (np.arange(SIDE) - SIDE / 2) * PIXEL_MM
    points = np.stack([*np.meshgrid(axis, axis, indexing="ij"), np.zeros((SIDE, SIDE))], -1)
    points = points.reshape(-1, 3).astype(np.float32)
    window = np.outer(np.hanning(SIDE), np.hanning(SIDE))
    found = []
    for spacing in NODULE_MM:
        power = np.zeros((SIDE, SIDE))
        for number in range(fields):
            rng = np.random.default_rng([seed, number])
            shifted = points + np.array([0, 0, 37.0 * number], np.float32)
            field = nodules(rng, shifted, spacing, RIM_SHARE * spacing).reshape(SIDE, SIDE)
            power += np.abs(np.fft.fft2((field - field.mean()) * window)) ** 2
        found.append(power / power.mean())
    return found[0], found[1]


def noise_spectrum(modality: str) -> Spectrum:
    """Power [SIDE, SIDE] of the noise in HU^2 or signal^2; Rician noise is Gaussian at a liver's signal."""
    if modality != "CT":
        return np.full((SIDE, SIDE), MR_NOISE[modality] ** 2)
    half = ct_noise_spectrum(SIDE, SIDE)
    rest = half[(-np.arange(SIDE)) % SIDE][:, SIDE // 2 - 1 : 0 : -1]
    return CT_NOISE_HU**2 * np.concatenate([half, rest], 1)


def bound(
    modality: str, before: int, after: int, patterns: tuple[Spectrum, Spectrum], contrast: float
) -> Bound:
    """The bounds of one change of grade."""
    scale = 1.0 if modality == "CT" else tissue_values(modality, Attributes())["liver"]

    def parts(grade: int) -> tuple[float, float]:
        coarse = COARSE_SHARE[grade]
        gain = scale * TEXTURE_GAIN[modality][grade] / np.hypot(1 - coarse, coarse)
        return gain * (1 - coarse), gain * coarse

    def shared(one: tuple[float, float], other: tuple[float, float]) -> Spectrum:
        return np.asarray(sum(a * b * p for a, b, p in zip(one, other, patterns, strict=True)))

    noise, x, y = noise_spectrum(modality), parts(before), parts(after)
    xx, yy, xy = shared(x, x) + noise, shared(y, y) + noise, shared(x, y) + noise
    dd, dx = xx + yy - 2 * xy, xy - xx

    def flow(power: float) -> float:
        gain = (yy / xx) ** (power / 2)
        return ratio(gain**2 * xx + yy - 2 * gain * xy)

    def ratio(errors: Spectrum) -> float:
        return float(np.sqrt(errors.mean() / dd.mean()))

    return Bound(float(np.sqrt(dd.mean())), ratio(dd - dx**2 / xx), flow(1.0), flow(contrast))


def table(contrast: float = 1.5) -> str:
    """All twelve changes of grade in every modality, in Markdown."""
    patterns = pattern_spectra()
    lines = [
        "| kind | change | unedited RMSE | best linear estimate | perfect flow inversion "
        f"| the same, contrast {contrast:g} | 0.5 within reach |",
        "|---|---|---|---|---|---|---|",
    ]
    for modality in MODALITIES:
        for before in range(4):
            for after in range(4):
                if before == after:
                    continue
                b = bound(modality, before, after, patterns, contrast)
                lines.append(
                    f"| {modality} | {GRADES[before]} to {GRADES[after]} | {b.unedited:.1f} | {b.linear:.3f} "
                    f"| {b.flow:.3f} | {b.contrasted:.3f} | {'yes' if b.linear <= 0.5 else 'no'} |"
                )
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contrast", type=float, default=1.5)
    print(table(parser.parse_args().contrast))


if __name__ == "__main__":
    main()
