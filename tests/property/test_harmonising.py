"""Whatever two arms bring, harmonising leaves one size, one range and one step, and never a hole."""

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.unit.webapp.readings.harmonising.scenes import scene
from webapp.core.errors import ApplicationError
from webapp.readings.harmonising import choose_target, harmonise, survey

FEW = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SPACINGS = st.floats(1.2, 4.0).map(lambda value: round(value, 3))


@st.composite
def arms(draw: st.DrawFn):
    """Two to four items, [(pixels, spacing)], each with its own grid, place, noise, padding and step."""
    items = []
    for _ in range(draw(st.integers(2, 4))):
        spacing = (draw(SPACINGS), draw(SPACINGS))
        sides = [int(draw(st.floats(330, 420)) / step) for step in spacing]
        wide = draw(st.floats(180, 320))
        image = scene(
            *sides,
            spacing,
            seed=draw(st.integers(0, 99)),
            noise=draw(st.floats(0, 40)),
            table=draw(st.booleans()),
            wide_mm=wide,
            off_mm=(draw(st.floats(-15, 15)), draw(st.floats(-15, 15))),
            air=draw(st.sampled_from([-1000.0, -1024.0, -3024.0])),
        )
        step = draw(st.sampled_from([1, 2, 8]))
        items.append((np.rint(image / step) * step, spacing))
    return items


@FEW
@given(items=arms())
def test_one_size_one_range_one_step(items) -> None:
    surveys = [survey(p, s, "CT", arm="real" if k % 2 else "synthetic") for k, (p, s) in enumerate(items)]
    target = choose_target(surveys)
    values = target.values["CT"]
    made = [harmonise(p, s, "CT", target) for p, s in items]
    assert len({len(one.to_bytes()) for one in made}) == 1
    for one, (pixels, spacing) in zip(made, items, strict=True):
        assert one.pixels.dtype == np.int16
        assert one.pixels.shape == (target.frames, target.rows, target.columns)
        assert values.low <= one.pixels.min()
        assert one.pixels.max() <= values.high
        assert not (one.pixels % values.step).any()
        again = harmonise(pixels, spacing, "CT", target)
        np.testing.assert_array_equal(again.pixels, one.pixels)


@FEW
@given(items=arms(), order=st.randoms())
def test_the_target_does_not_depend_on_the_order_or_the_names_of_the_arms(items, order) -> None:
    surveys = [survey(p, s, "CT", item=str(k), arm="ab"[k % 2]) for k, (p, s) in enumerate(items)]
    renamed = [survey(p, s, "CT", item=str(k), arm="ba"[k % 2]) for k, (p, s) in enumerate(items)]
    order.shuffle(renamed)
    first, second = choose_target(surveys), choose_target(renamed)
    assert (first.spacing_mm, first.rows, first.columns, first.values) == (
        second.spacing_mm,
        second.rows,
        second.columns,
        second.values,
    )


@FEW
@given(
    image=st.integers(0, 99),
    gain=st.floats(0.01, 50),
    spacing=SPACINGS,
    modality=st.sampled_from(["MR", "CR", "US"]),
)
def test_values_without_a_unit_do_not_tell_their_gain(image, gain, spacing, modality) -> None:
    pixels = np.clip(
        scene(120, 120, (spacing, spacing), seed=image, wide_mm=60 * spacing, table=False) + 1000, 0, None
    )
    try:
        target = choose_target([survey(pixels, (spacing, spacing), modality)])
    except ApplicationError:
        assume(False)
    plain = harmonise(pixels, (spacing, spacing), modality, target).pixels
    louder = harmonise(pixels * gain, (spacing, spacing), modality, target).pixels
    assert np.abs(plain.astype(int) - louder).max() <= target.values[modality].step
