"""Noise of the scanners: correlated Gaussian in CT, Rician and a bias field in MR."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from synthesis.phantoms.shapes import Waves

__all__ = ["CT_NOISE_HU", "MR_NOISE", "bias_field", "ct_noise", "ct_noise_spectrum", "rician"]

CT_NOISE_HU: Final = 9.0
MR_NOISE: Final[dict[str, float]] = {"T1": 16.0, "T2": 16.0}

# Cut-off of the reconstruction kernel, in cycles per pixel; the spectrum peaks at 1/sqrt(2) of it.
CT_CUTOFF: Final = 0.36
# Share of the ramp that interpolation and slice averaging put back at frequency zero.
CT_FLOOR: Final = 0.03

Image = NDArray[np.float32]


def ct_noise_spectrum(rows: int, columns: int) -> NDArray[np.float64]:
    """Return the CT noise power spectrum on the rfft2 grid [rows, columns // 2 + 1], mean one.

    NPS(f) = (f + floor) exp(-(f / cutoff)^2): the ramp of filtered backprojection under an
    apodising kernel (Riederer, Pelc & Chesler, Phys Med Biol 1978;23:446). f in cycles per pixel.
    The mean is taken over the full plane, so that filtered white noise keeps its variance.
    """
    f_y = np.fft.fftfreq(rows)[:, None]
    f_x = np.fft.fftfreq(columns)[None, :]
    frequency = np.hypot(f_y, f_x)
    power = (frequency + CT_FLOOR) * np.exp(-((frequency / CT_CUTOFF) ** 2))
    spectrum: NDArray[np.float64] = (power / power.mean())[:, : columns // 2 + 1]
    return spectrum


def ct_noise(rng: np.random.Generator, shape: tuple[int, int, int], level: float = CT_NOISE_HU) -> Image:
    """Return CT noise in HU [slices, rows, cols]: standard deviation `level`, correlated in plane."""
    white = rng.standard_normal(shape, dtype=np.float32)
    spectrum = ct_noise_spectrum(shape[1], shape[2])
    noise = np.fft.irfft2(np.fft.rfft2(white) * np.sqrt(spectrum), s=shape[1:])
    return (level * noise).astype(np.float32)


def rician(rng: np.random.Generator, signal: Image, level: float) -> Image:
    """Return |signal + complex Gaussian noise of standard deviation `level` per channel|.

    Gudbjartsson & Patz, Magn Reson Med 1995;34:910.
    """
    real, imaginary = rng.standard_normal((2, *signal.shape), dtype=np.float32)
    out: Image = np.hypot(signal + np.float32(level) * real, np.float32(level) * imaginary)
    return out


def bias_field(rng: np.random.Generator, x: Image, y: Image, z: Image, gain: float = 0.08) -> Image:
    """Return a smooth multiplicative coil field [D, H, W] on the axes x, y, z (mm), log-sd `gain`."""
    waves = Waves.draw(rng, gain=gain, shortest=320.0, longest=700.0, count=5)
    out: Image = np.exp(waves.on(x, y, z))
    return out
