"""Named random streams: one seed, one independent generator per purpose."""

import zlib

import numpy as np

__all__ = ["stream"]


def stream(seed: int, purpose: str) -> np.random.Generator:
    """Return the generator that belongs to (seed, purpose).

    Streams of different purposes are independent, so that a draw for one purpose
    (a lesion, say) never moves another (the noise). ValueError if seed < 0.
    """
    if seed < 0:
        raise ValueError(f"seed must be >= 0, got {seed}")
    return np.random.default_rng(np.random.SeedSequence([seed, zlib.crc32(purpose.encode("ascii"))]))
