"""Where a change may act: where it belongs, everywhere, in one structure, or where somebody painted."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from synthesis.edit_regions import chosen_region, label_names, label_value, region_of
from synthesis.edit_request import CounterfactualRequest, EditOptions, edited_region, passes_of, ways_of
from synthesis.errors import SynthesisError
from synthesis.phantoms import labels as L
from synthesis.request import Condition

CT = Condition(modality="CT", age=50, sex="F")
SEVERE = Condition(modality="CT", age=50, sex="F", severity="severe")
OLDER = Condition(modality="CT", age=80, sex="F")


def a_mask():
    labels = np.full((16, 16), L.FAT, np.uint8)
    labels[2:10, 2:10] = L.LIVER
    labels[4:6, 4:6] = L.LESION
    labels[12:15, 12:15] = L.SPLEEN
    return labels


def painted():
    other = a_mask()
    other[7:9, 7:12] = L.LESION
    return other


@pytest.mark.parametrize("after", [SEVERE, OLDER, CT])
@pytest.mark.parametrize("where", ["belongs", "everywhere"])
def test_unless_a_place_is_named_it_is_where_the_change_belongs(where, after):
    found = chosen_region(where, a_mask(), a_mask(), CT, after)
    assert np.array_equal(found, edited_region(a_mask(), a_mask(), CT, after))


def test_a_structure_is_its_own_pixels_whatever_changes():
    for after in (SEVERE, OLDER):
        found = chosen_region("spleen", a_mask(), a_mask(), CT, after)
        assert np.array_equal(found, a_mask() == L.SPLEEN)
    assert chosen_region("liver", a_mask(), a_mask(), CT, SEVERE).sum() == 8 * 8 - 2 * 2
    assert not chosen_region("pancreas", a_mask(), a_mask(), CT, SEVERE).any()


def test_a_structure_is_meant_before_and_after():
    healed = np.where(a_mask() == L.LESION, np.uint8(L.LIVER), a_mask())
    assert chosen_region("liver", a_mask(), healed, CT, CT).sum() == 8 * 8
    assert chosen_region("lesion", a_mask(), healed, CT, CT).sum() == 2 * 2


def test_paint_marks_the_place_to_the_pixel():
    found = chosen_region("painted", a_mask(), painted(), CT, SEVERE)
    assert found.sum() == 2 * 5
    assert found[7:9, 7:12].all()
    assert not chosen_region("painted", a_mask(), a_mask(), CT, SEVERE).any()


def test_paint_leaves_the_mask_of_the_image_to_come():
    values = {
        "image": np.zeros((16, 16), np.float32), "labels": a_mask(), "labels_after": painted(),
        "spacing_mm": (2.0, 2.0), "before": CT, "after": SEVERE,
    }  # fmt: skip
    marked = CounterfactualRequest(**values, options=EditOptions(where="painted"))
    assert np.array_equal(marked.target_labels, a_mask())
    assert np.array_equal(region_of(marked), painted() != a_mask())
    meant = CounterfactualRequest(**values)
    assert np.array_equal(meant.target_labels, painted())
    assert np.array_equal(region_of(meant), edited_region(a_mask(), painted(), CT, SEVERE))


def test_another_label_set_has_its_own_names_and_values():
    own = [{"value": 0, "name": "outside"}, {"value": 6, "name": "heart"}]
    assert label_names(own) == {6: "heart"}
    assert np.array_equal(chosen_region("heart", a_mask(), a_mask(), CT, CT, own), a_mask() == 6)
    with pytest.raises(SynthesisError, match=r'within "liver".*It has: heart\.'):
        label_value("liver", own)
    with pytest.raises(SynthesisError, match="no such structure"):
        chosen_region("air", a_mask(), a_mask(), CT, CT)


def test_what_was_asked_for_before_places_had_names_is_read_as_it_was_meant():
    assert EditOptions.from_json({"confined": True}).place == "belongs"
    assert EditOptions.from_json({"confined": False}).place == "everywhere"
    assert "where" not in EditOptions(confined=False).to_json()


@pytest.mark.parametrize(
    ("where", "confined"), [("belongs", True), ("everywhere", False), ("spleen", True), ("painted", True)]
)
def test_a_named_place_decides_and_comes_back_from_json(where, confined):
    for said in (True, False):
        options = EditOptions(where=where, confined=said)
        assert (options.place, options.confined) == (where, confined)
        assert EditOptions.from_json(options.to_json()) == options


def test_undoing_also_asks_for_no_change():
    assert (ways_of(EditOptions()), ways_of(EditOptions(undo=True))) == (1, 3)


@pytest.mark.parametrize(
    ("method", "passes"),
    [("flow_inversion", (2, 1, 2)), ("pix2pix_zero", (2, 2, 2)), ("guided", (1, 1, 1))],
)
def test_a_run_goes_through_its_steps_on_every_way(method, passes):
    assert passes_of(EditOptions(method=method, undo=True)) == passes
    assert passes_of(EditOptions(method=method)) == passes[:1]


def test_places_need_no_torch():
    code = "import sys; sys.modules['torch'] = None; import synthesis.edit_regions"
    subprocess.run([sys.executable, "-c", code], check=True)
