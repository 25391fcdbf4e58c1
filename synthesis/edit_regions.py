"""Where a change may act: where it belongs, everywhere, in a structure, or as painted; free of torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from synthesis.edit_request import (
    BELONGS,
    EVERYWHERE,
    PAINTED,
    CounterfactualRequest,
    Mask,
    edited_region,
)
from synthesis.errors import SynthesisError
from synthesis.phantoms.labels import LABEL_SET
from synthesis.request import Condition, Labels

LabelSet = Sequence[Mapping[str, Any]]


def chosen_region(
    where: str,
    labels: Labels,
    other: Labels,
    before: Condition,
    after: Condition,
    label_set: LabelSet | None = None,
) -> Mask:
    """The pixels [rows, columns] that a change is asked for in, and that its numbers call inside.

    where: BELONGS and EVERYWHERE: where the change belongs (`edited_region`), for a change that may act
    everywhere is asked for there all the same. PAINTED: where `other`, a mask that only marks the place,
    differs from `labels`. Any other word names a label of `label_set` ([{"value", "name"}], by default that
    of the phantoms): its pixels before or after, `other` being the mask to come. Raises SynthesisError for
    a name that is not there.
    """
    if where in (BELONGS, EVERYWHERE):
        return edited_region(labels, other, before, after)
    if where == PAINTED:
        return np.asarray(labels != other)
    value = label_value(where, label_set)
    return np.asarray((labels == value) | (other == value))


def region_of(request: CounterfactualRequest, label_set: LabelSet | None = None) -> Mask:
    """The same of a request."""
    return chosen_region(
        request.options.place,
        request.labels,
        request.labels if request.labels_after is None else request.labels_after,
        request.before,
        request.after,
        label_set,
    )


def label_names(label_set: LabelSet | None = None) -> dict[int, str]:
    """A label set's names by their values, without what lies outside the body (0)."""
    rows = label_set or [{"value": one.value, "name": one.name} for one in LABEL_SET]
    return {int(row["value"]): str(row["name"]) for row in rows if int(row["value"])}


def lesion_value(label_set: LabelSet | None = None) -> int | None:
    """The value of lesions, None where a label set has none."""
    return _value_of("lesion", label_names(label_set))


def label_value(name: str, label_set: LabelSet | None = None) -> int:
    """The value of a label; raises SynthesisError, with those that there are, for an unknown name."""
    known = label_names(label_set)
    found = _value_of(name, known)
    if found is None:
        raise SynthesisError(
            f'The change cannot be kept within "{name}": the model has no such structure. '
            f"It has: {', '.join(known.values())}."
        )
    return found


def _value_of(name: str, known: Mapping[int, str]) -> int | None:
    return next((value for value, own in known.items() if own == name), None)
