"""Regenerate the evidence of one paper: `python -m training.evidence victr [--minutes N]`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

from training.evidence import drift, victr
from training.evidence.victr_plan import MINUTES

PAPERS: Mapping[str, Callable[..., Any]] = {"drift": drift.evidence, "victr": victr.evidence}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paper", choices=sorted(PAPERS))
    parser.add_argument("--minutes", type=float, default=MINUTES, help="of training in all, on one core")
    parser.add_argument(
        "--trained", action="store_true", help="train nothing; measure what is trained already"
    )
    options = parser.parse_args()
    PAPERS[options.paper](options.minutes, training=not options.trained)


if __name__ == "__main__":
    main()
