"""The same change in every slice of a series: the same noise, the others kept, numbers of all together."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from synthesis.edit import edit
from synthesis.edit_request import CT_TEXTURE, CounterfactualRequest, EditOptions
from synthesis.edit_series import Stack, edit_series, together
from synthesis.errors import Cancelled
from synthesis.metrics.judges import FeatureNet, Judges, Segmenter, SeverityReader
from synthesis.metrics.minimality import minimality
from synthesis.metrics.ssim import ssim
from synthesis.phantoms import labels as L
from synthesis.request import Condition
from tests.unit.synthesis.tiny_model import SIDE, tiny_model

SLICES = 5


@pytest.fixture(scope="module")
def model():
    return tiny_model()


def wish(stack: Stack, **changed) -> CounterfactualRequest:
    values = {
        "image": stack.images[1],
        "labels": stack.labels[1],
        "spacing_mm": (3.0, 3.0),
        "before": Condition(modality="CT", severity="severe", age=50, sex="F"),
        "after": Condition(modality="CT", severity="none", age=50, sex="F"),
        "options": EditOptions(strength=0.4, steps=2, variety=0.7),
        "seed": 11,
    }
    return CounterfactualRequest(**values | changed)


@pytest.fixture(scope="module")
def stack() -> Stack:
    """Five slices: slice 0 is to be kept, 1 and 2 are the same, 3 and 4 are others."""
    rng = np.random.default_rng(3)
    images = np.rint(rng.normal(80, 30, (SLICES, SIDE, SIDE))).astype(np.float32)
    images[2] = images[1]
    labels = np.full((SLICES, SIDE, SIDE), L.FAT, np.uint8)
    labels[1:, 4:24, 4:24] = L.LIVER
    return Stack(images=images, labels=labels, labels_after=None, edited=(1, 2, 3, 4))


def test_like_slices_come_out_alike_and_seeds_differ(model, stack):
    result = edit_series(model, wish(stack, count=2), stack)
    first, second = result.images
    assert np.array_equal(first[1], first[2])
    assert not np.array_equal(first[2], first[3])
    assert not np.array_equal(first[1], second[1])
    assert np.array_equal(second[1], second[2])
    assert result.pixel_sha256[0] != result.pixel_sha256[1]
    assert result.pixel_sha256 == edit_series(model, wish(stack, count=2), stack).pixel_sha256


def test_every_slice_is_what_it_would_be_alone(model, stack):
    moved = {"drift": 0.2, "drift_scheme": "init_only"}  # so that no change changes something
    asked = wish(stack, options=EditOptions(strength=0.4, steps=2, variety=0.7, undo=True, **moved))
    result = edit_series(model, asked, stack)
    alone = edit(model, replace(asked, image=stack.images[3]))
    assert np.array_equal(result.images[0, 3], alone.images[0])
    assert result.undone is not None
    assert np.array_equal(result.undone[0, 3], alone.undone[0])
    assert result.numbers[0]["slices"][2] == {"slice": 3, **alone.numbers[0]}
    errors = [
        np.square(edit(model, _of(asked, stack, at)).unchanged - stack.images[at]) for at in (1, 2, 3, 4)
    ]
    assert result.numbers[0]["unchanged"]["psnr"] == pytest.approx(10 * np.log10(500.0**2 / np.mean(errors)))


def _of(asked, stack, at):
    return replace(asked, image=stack.images[at], labels=stack.labels[at])


def test_a_painted_place_is_marked_slice_by_slice_and_is_no_new_mask(model, stack):
    marks = stack.labels.copy()
    marks[1, 24:30, 4:10] = L.LESION
    marks[3, 24:30, 10:16] = L.LESION
    marked = replace(stack, labels_after=marks, edited=(1, 3))
    options = EditOptions(strength=0.6, steps=2, blend=True, where="painted")
    asked = wish(stack, options=options, labels_after=marks[1])
    result = edit_series(model, asked, marked)
    assert np.array_equal(result.region, marks != stack.labels)
    plain = edit(model, replace(asked, image=stack.images[1]))
    assert np.array_equal(result.images[0, 1], plain.images[0])


def test_what_is_not_to_be_changed_is_kept(model, stack):
    only = replace(stack, edited=(1, 3))
    result = edit_series(model, wish(stack), only)
    for place in (0, 2, 4):
        assert np.array_equal(result.images[0, place], stack.images[place])
        assert not result.region[place].any()
    assert np.abs(result.images[0, 1] - stack.images[1]).max() > 0
    assert result.recipe["slices"] == {"count": SLICES, "edited": [1, 3]}
    assert [row["slice"] for row in result.numbers[0]["slices"]] == [1, 3]
    assert result.numbers[0]["through_plane"]["pairs"] == 4
    json.dumps([result.numbers, result.recipe], allow_nan=False)


def test_a_lesion_goes_where_its_own_slice_has_it(model, stack):
    after = stack.labels.copy()
    after[3, 10:14, 10:14] = L.LESION
    same = Condition(modality="CT", severity="none", age=50, sex="F")
    result = edit_series(
        model, wish(stack, before=same, after=same), replace(stack, labels_after=after, edited=(2, 3))
    )
    assert not result.region[2].any()
    assert result.region[3, 9:15, 9:15].sum() == 32  # the lesion and the pixels that touch it


def test_all_slices_are_changed_as_strongly(model, stack):
    """The first has the same mask before and after, the second gains a lesion: both go as far back."""
    after = stack.labels.copy()
    after[3, 10:14, 10:14] = L.LESION
    asked = wish(stack, options=EditOptions(steps=2))
    both = replace(stack, labels_after=after, edited=(2, 3))
    result = edit_series(model, asked, both)
    options, contrast = result.recipe["options"], CT_TEXTURE.beside
    assert (options["strength"], options["contrast"]) == (1.0, contrast)
    one = replace(asked, image=stack.images[2], labels=stack.labels[2])
    said = replace(one, options=replace(asked.options, strength=1.0, contrast=contrast))
    assert np.array_equal(result.images[0, 2], edit(model, said).images[0])
    assert not np.array_equal(result.images[0, 2], edit(model, one).images[0])


def test_numbers_of_one_slice_are_those_of_minimality():
    rng = np.random.default_rng(5)
    original = rng.normal(size=(1, 16, 16)) * 20
    changed = original + rng.normal(size=original.shape)
    region = np.zeros(original.shape, bool)
    region[0, 3:9, 4:8] = True
    known = minimality(changed[0], original[0], region[0], data_range=500.0)
    found = together(changed, original, region, data_range=500.0)
    assert found == pytest.approx(known)


def test_numbers_of_several_slices_count_every_pixel_once():
    original = np.zeros((2, 12, 12))
    changed = np.stack([np.full((12, 12), 3.0), np.full((12, 12), 4.0)])
    found = together(changed, original, np.ones(original.shape, bool), data_range=500.0)
    assert found["inside"] == pytest.approx(np.sqrt((9 + 16) / 2))
    assert found["l1"] == pytest.approx(3.5)
    assert found["outside"] is None
    alone = [ssim(one, two, data_range=500.0) for one, two in zip(changed, original, strict=True)]
    assert alone[0] != alone[1]
    assert found["ssim"] == pytest.approx(sum(alone) / 2)


def test_the_reader_is_quoted_by_the_mean_of_its_slices(model, stack):
    torch.manual_seed(1)
    nets = [net().eval().requires_grad_(False) for net in (Segmenter, SeverityReader, FeatureNet)]
    result = edit_series(model, wish(stack), stack, judges=Judges(*nets, about={}))
    numbers = result.numbers[0]
    shares = [row["severity"]["after"]["severe"] for row in numbers["slices"]]
    assert numbers["severity"]["after"]["severe"] == pytest.approx(np.mean(shares), abs=1e-4)
    assert numbers["severity"]["slices"] == 4


def test_progress_counts_slices_and_cancel_ends_it(model, stack):
    heard = []

    def on_step(step):
        heard.append((step.image, step.images, step.step, step.steps))
        if step.image == 2:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        edit_series(model, wish(stack), stack, on_step=on_step)
    assert heard == [*((1, 4, step, 4) for step in range(1, 5)), (2, 4, 1, 4)]


def test_places_must_be_there(stack):
    for edited in ((), (3, 1), (2, 2), (5,), (-1, 2)):
        with pytest.raises(ValueError, match="rising places"):
            replace(stack, edited=edited)


def test_on_a_disk_it_is_bit_by_bit_what_it_is_in_memory(model, stack, tmp_path):
    """Integers in place of floats, files in place of memory: the same pixels, digests and numbers."""
    asked = wish(stack, count=2, options=EditOptions(strength=0.4, steps=2, variety=0.7, undo=True))
    given = []

    def room(shape, kind):
        given.append(np.memmap(tmp_path / f"{len(given)}", dtype=kind, mode="w+", shape=shape))
        return given[-1]

    kept = replace(stack, images=stack.images.astype(np.int16))
    held, filed = edit_series(model, asked, stack), edit_series(model, asked, kept, room=room)
    assert {one.nbytes for one in given} == {filed.images.nbytes, filed.region.nbytes}
    assert isinstance(filed.images, np.memmap)
    assert np.array_equal(filed.images, held.images)
    assert np.array_equal(filed.undone, held.undone)
    assert filed.pixel_sha256 == held.pixel_sha256
    assert filed.numbers == held.numbers
    assert filed.recipe == held.recipe
