"""Both arms come out on one grid, in one range and step, alike in all that is not their content."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.unit.webapp.readings.harmonising.scenes import scene
from webapp.core.errors import ApplicationError
from webapp.readings.audit import Observation, audit
from webapp.readings.harmonising import (
    Options,
    Target,
    before_and_after,
    choose_target,
    describe,
    harmonise,
    survey,
)

REAL, MADE = (0.78, 0.78), (3.1, 3.1)


def pool(count: int = 6, **extra):
    """Items as (arm, pixels, spacing): fine grids with table and padding, coarse ones with neither."""
    items = []
    for k in range(count):
        real = scene(440, 440, REAL, seed=k, wide_mm=290 + 5 * k, off_mm=(6, -9), **extra)
        corner = np.add.outer(np.linspace(-1, 1, 440) ** 2, np.linspace(-1, 1, 440) ** 2) > 1
        real[:, corner] = -2000
        made = scene(120, 120, MADE, seed=100 + k, wide_mm=288 + 5 * k, table=False, air=-1000, **extra)
        made = np.clip(made, -1000, 580)
        items += [("real", real, REAL), ("synthetic", made, MADE)]
    return items


def surveyed(items):
    return [survey(p, s, "CT", item=f"{arm} {k}", arm=arm) for k, (arm, p, s) in enumerate(items)]


def test_a_target_suits_both_arms_and_says_why() -> None:
    target = choose_target(surveyed(pool()))
    assert target.spacing_mm == pytest.approx(3.1 * 1.15, abs=0.01)
    assert target.masked
    values = target.values["CT"]
    assert -1000 <= values.low <= -850
    assert 300 <= values.high <= 580
    assert values.step == 1
    assert (target.frames, target.between_mm) == (1, None)
    assert any("“synthetic 1” has 3.10 mm" in reason or "has 3.10 mm" in reason for reason in target.reasons)
    assert Target.from_json(json.loads(json.dumps(target.to_json()))) == target


def test_every_item_comes_out_in_one_form() -> None:
    items = pool()
    target = choose_target(surveyed(items))
    made = [harmonise(p, s, "CT", target) for _, p, s in items]
    values = target.values["CT"]
    assert {one.pixels.shape for one in made} == {(1, target.rows, target.columns)}
    assert {one.pixels.dtype for one in made} == {np.dtype(np.int16)}
    assert len({len(one.to_bytes()) for one in made}) == 1
    assert {one.spacing_mm for one in made} == {(target.spacing_mm, target.spacing_mm)}
    assert {one.window for one in made} == {(40.0, 400.0)}
    for one in made:
        assert one.pixels.min() == values.low
        assert one.pixels.max() <= values.high
        edge = np.concatenate(
            [one.pixels[0, 0], one.pixels[0, -1], one.pixels[0, :, 0], one.pixels[0, :, -1]]
        )
        assert (edge == values.low).all(), "no table, no padding, no noise in the air"


def test_bytes_are_little_endian() -> None:
    target = choose_target(surveyed(pool(2)))
    one = harmonise(pool(2)[0][1], REAL, "CT", target)
    again = np.frombuffer(one.to_bytes(), "<i2").reshape(one.pixels.shape)
    np.testing.assert_array_equal(again, one.pixels)


def test_the_same_scene_is_the_same_whatever_grid_it_came_on() -> None:
    items = pool(2, noise=0.0)
    target = choose_target(surveyed(items))
    fine = harmonise(scene(440, 440, REAL, noise=0, off_mm=(6, -9)), REAL, "CT", target).pixels[0]
    coarse = harmonise(scene(120, 120, MADE, noise=0, table=False), MADE, "CT", target).pixels[0]
    inside = (fine > 0) & (coarse > 0) & (fine < 200) & (coarse < 200)
    assert inside.mean() > 0.2
    assert np.abs(fine - coarse)[inside].mean() < 4
    outside = (fine == target.values["CT"].low) & (coarse == target.values["CT"].low)
    assert (outside == (fine == target.values["CT"].low)).mean() > 0.97


def test_what_lies_beyond_the_range_weighs_no_more_than_its_end() -> None:
    items = pool(2)
    target = choose_target(surveyed(items))
    metal, ends = scene(440, 440, REAL), scene(440, 440, REAL)
    metal[0, 300:310, 200:210] = 3000
    ends[0, 300:310, 200:210] = target.values["CT"].high
    np.testing.assert_array_equal(
        harmonise(metal, REAL, "CT", target).pixels, harmonise(ends, REAL, "CT", target).pixels
    )


def test_uniform_stays_uniform_and_means_are_kept() -> None:
    items = pool(2)
    target = choose_target(surveyed(items))
    flat = scene(440, 440, REAL, noise=8.0, off_mm=(0, 0))
    middle = harmonise(flat, REAL, "CT", target).pixels[0]
    rows, columns = middle.shape
    patch = middle[rows // 2 - 4 : rows // 2, columns // 4 : columns // 4 + 4]
    assert abs(float(patch.mean()) - 50) < 12


def test_noise_of_one_strength_per_area_comes_out_alike() -> None:
    """White noise on different grids keeps its spectrum in form: the same Gaussian in mm for both."""
    items = pool(2)
    target = choose_target(surveyed(items))
    slopes = []
    for rows, spacing in ((440, REAL), (120, MADE)):
        image = np.random.default_rng(1).normal(50, 20, (1, rows, rows)).astype(np.float32)
        body = scene(rows, rows, spacing, noise=0, table=False)
        image = np.where(body > -150, image, -1000).astype(np.float32)
        made = harmonise(image, spacing, "CT", target).pixels[0].astype(float)
        rows_, columns = made.shape
        patch = made[rows_ // 2 - 12 : rows_ // 2 + 12, columns // 2 - 16 : columns // 2 + 16]
        residue = patch - patch.mean()
        ahead = (residue[:, 1:] * residue[:, :-1]).mean() / (residue**2).mean()
        slopes.append(ahead)
    assert slopes[0] == pytest.approx(slopes[1], abs=0.12)


def test_what_the_audit_says_before_and_after() -> None:
    items = pool(12)
    target = choose_target(surveyed(items))
    order = np.random.default_rng(0).permutation(len(items))

    def seen(pictures) -> list[Observation]:
        return [
            Observation(item=str(k), arm=arm, cluster=str(k), position=int(order[k]), pixels=picture)
            for k, ((arm, _, _), picture) in enumerate(zip(items, pictures, strict=True))
        ]

    before = audit(seen([p.astype(np.int16) for _, p, _ in items]), seed=1)
    after = audit(seen([harmonise(p, s, "CT", target).pixels for _, p, s in items]), seed=1)
    trivial = ("rows", "columns", "lowest value", "beside the body: largest thing", "outside the body: noise")
    assert {one.feature for one in before.findings} >= set(trivial)
    assert not {one.feature for one in after.findings} & set(trivial)


def test_the_report_shows_both_arms_before_and_after() -> None:
    items = pool(3)
    target = choose_target(surveyed(items))
    made = [harmonise(p, s, "CT", target) for _, p, s in items]
    report = before_and_after(
        [describe(p, s) for _, p, s in items],
        [describe(one.pixels, one.spacing_mm) for one in made],
        [arm for arm, _, _ in items],
        target,
    )
    json.dumps(report)
    rows = {one["name"]: one for one in report["measures"]}
    assert rows["rows"]["before"]["real"]["median"] == 440
    assert rows["rows"]["before"]["synthetic"]["median"] == 120
    assert rows["rows"]["after"]["real"] == rows["rows"]["after"]["synthetic"]
    assert rows["lowest"]["before"]["real"]["low"] == -2000
    assert rows["border"]["after"]["real"]["median"] == 1
    assert any(sentence.startswith("Now the same for every item") for sentence in report["sentences"])
    with pytest.raises(ValueError, match="as many"):
        before_and_after([], [{}], ["real"], target)


# --- volumes


def test_volumes_get_one_number_of_slices_at_one_distance() -> None:
    thick = scene(220, 220, (1.6, 1.6), frames=21)
    thin = scene(120, 120, MADE, frames=60, table=False)
    surveys = [
        survey(thick, (1.6, 1.6, 5.0), "CT", item="thick", arm="real"),
        survey(thin, (*MADE, 1.5), "CT", item="thin", arm="synthetic"),
    ]
    target = choose_target(surveys)
    assert target.between_mm == pytest.approx(5.75)
    assert target.frames == 16
    made = [
        harmonise(thick, (1.6, 1.6, 5.0), "CT", target),
        harmonise(thin, (*MADE, 1.5), "CT", target),
    ]
    assert {one.pixels.shape for one in made} == {(16, target.rows, target.columns)}
    assert {one.between_mm for one in made} == {5.75}
    with pytest.raises(ApplicationError, match="only 8 slices"):
        harmonise(thick[:10], (1.6, 1.6, 5.0), "CT", target)
    fewer = choose_target(surveys, Options(frames=7))
    assert harmonise(thick, (1.6, 1.6, 5.0), "CT", fewer).pixels.shape[0] == 7
    with pytest.raises(ApplicationError, match="too many"):
        choose_target(surveys, Options(frames=30))


def test_slices_of_unknown_distance_are_taken_about_the_middle() -> None:
    stack = scene(120, 120, MADE, frames=9, noise=0)
    stack += np.arange(9)[:, None, None] * (stack > -100)
    target = choose_target([survey(stack, MADE, "CT"), survey(stack[:4], MADE, "CT")])
    assert (target.frames, target.between_mm) == (4, None)
    made = harmonise(stack, MADE, "CT", target).pixels
    level = made[:, target.rows // 2 - 6, target.columns // 2 - 20].astype(float)
    assert np.diff(level) == pytest.approx([1, 1, 1], abs=1)


def test_a_study_of_slices_and_volumes_shows_the_middle_slice() -> None:
    stack = scene(120, 120, MADE, frames=5)
    target = choose_target([survey(stack, (*MADE, 3.0), "CT"), survey(stack[:1], MADE, "CT")])
    assert target.frames == 1
    assert any("middle" in reason for reason in target.reasons)
    np.testing.assert_array_equal(
        harmonise(stack, (*MADE, 3.0), "CT", target).pixels,
        harmonise(stack[2:3], MADE, "CT", target).pixels,
    )


# --- other modalities


def test_mr_has_no_unit_and_is_scaled() -> None:
    quiet = np.clip(scene(120, 120, MADE, table=False) + 1000, 0, None) * 0.3
    loud = quiet * 7.5
    target = choose_target([survey(quiet, MADE, "MR", arm="real"), survey(loud, MADE, "MR", arm="synthetic")])
    values = target.values["MR"]
    assert values.scaled
    assert (values.low, values.high) == (0, values.high)
    first, second = (harmonise(one, MADE, "MR", target).pixels for one in (quiet, loud))
    assert np.abs(first - second).max() <= values.step


def test_pictures_without_a_body_are_cropped_to_what_all_show() -> None:
    rng = np.random.default_rng(0)
    wide, narrow = (rng.normal(100, 30, (1, *shape)) for shape in ((200, 260), (180, 200)))
    target = choose_target([survey(wide, (1.0, 1.0), "CR"), survey(narrow, (1.1, 1.1), "CR")])
    assert not target.masked
    assert target.rows * target.spacing_mm <= 198
    assert target.columns * target.spacing_mm <= 220
    for one, spacing in ((wide, 1.0), (narrow, 1.1)):
        made = harmonise(one, (spacing, spacing), "CR", target).pixels
        assert (made == made.min()).mean() < 0.05, "nothing is padded"


# --- refusals


def test_a_field_too_small_is_refused_in_words() -> None:
    target = choose_target(surveyed(pool()))
    small = scene(200, 200, (0.5, 0.5), table=False)
    with pytest.raises(ApplicationError, match="shows 100 mm, less than the common field"):
        harmonise(small, (0.5, 0.5), "CT", target)


def test_a_body_that_its_image_cuts_off_limits_the_field() -> None:
    cut = scene(320, 320, REAL, table=False)
    items = [*surveyed(pool(2)), survey(cut, REAL, "CT", item="cut", arm="real")]
    assert items[-1].touches
    target = choose_target(items)
    assert target.columns * target.spacing_mm <= 320 * 0.78
    made = harmonise(cut, REAL, "CT", target).pixels[0]
    middle = made[target.rows // 2]
    assert middle[0] > target.values["CT"].low
    assert middle[-1] > target.values["CT"].low


@pytest.mark.parametrize(
    ("pixels", "spacing", "message"),
    [
        (np.full((1, 64, 64), np.nan), (1.0, 1.0), "no numbers"),
        (np.zeros((1, 64, 64)), (0.0, 1.0), "how large its pixels are"),
        (np.zeros((1, 64, 64)), (1.0, np.inf), "how large its pixels are"),
    ],
)
def test_what_cannot_be_compared_is_refused(pixels, spacing, message) -> None:
    with pytest.raises(ApplicationError, match=message):
        survey(pixels, spacing, "CT")


def test_other_refusals() -> None:
    surveys = surveyed(pool(1))
    with pytest.raises(ApplicationError, match="no items"):
        choose_target([])
    with pytest.raises(ApplicationError, match="too fine"):
        choose_target(surveys, Options(spacing_mm=1.0))
    with pytest.raises(ApplicationError, match="larger than"):
        choose_target(surveys, Options(field_mm=2000))
    with pytest.raises(ApplicationError, match="only"):
        choose_target(surveys, Options(spacing_mm=15.0))
    with pytest.raises(ApplicationError, match="no option “colour”"):
        Options.from_json({"colour": 1})
    with pytest.raises(ApplicationError, match="is MR"):
        harmonise(pool(1)[0][1], REAL, "MR", choose_target(surveys))
    flat = np.zeros((1, 64, 64))
    target = choose_target([survey(np.random.default_rng(0).random((1, 64, 64)), (1.0, 1.0), "CR")])
    with pytest.raises(ApplicationError, match="one brightness"):
        harmonise(flat, (1.0, 1.0), "CR", target)
