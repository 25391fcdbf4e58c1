"""Table of contents of the training objectives."""

from collections.abc import Callable
from typing import Any

from training.objectives.flow import flow
from training.objectives.shortcut import shortcut

# Each is called as objective(network, batch, settings, generator, average=the averaged network), and
# with origin=the frozen network of `init_from` where its settings ask for `from_origin`.
OBJECTIVES: dict[str, Callable[..., Any]] = {
    "flow": flow,
    "shortcut": shortcut,
}
