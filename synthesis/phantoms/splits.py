"""Which seeds belong to training, validation, test and the demo: ranges that never meet."""

from typing import Final

__all__ = ["SPLIT_OFFSETS", "phantom_seed"]

SPLIT_OFFSETS: Final[dict[str, int]] = {
    "training": 0,
    "validation": 10_000_000,
    "test": 20_000_000,
    "demo": 30_000_000,
}
SPLIT_SIZE: Final = 10_000_000


def phantom_seed(split: str, index: int) -> int:
    """Return the seed of phantom `index` of a split.

    ValueError if the split is unknown or the index leaves its range.
    """
    if split not in SPLIT_OFFSETS:
        raise ValueError(f"split must be one of {sorted(SPLIT_OFFSETS)}, got {split!r}")
    if not 0 <= index < SPLIT_SIZE:
        raise ValueError(f"index must lie in 0..{SPLIT_SIZE - 1}, got {index}")
    return SPLIT_OFFSETS[split] + index
