"""Table of contents of the training objectives."""

from collections.abc import Callable
from typing import Any

from training.objectives.flow import flow

OBJECTIVES: dict[str, Callable[..., Any]] = {"flow": flow}
