"""Masks and slices onto the model's grid, against phantoms whose truth is known, and on real scans."""

import re
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from synthesis.errors import SynthesisError
from synthesis.imaging.fitting import BODY_FILL, fit, is_own_grid
from synthesis.imaging.geometry import LPS_TO_RAS
from synthesis.imaging.labelmaps import label_map
from synthesis.imaging.plane import flat_plane, plane_of
from synthesis.imaging.preflight import preflight_mask
from synthesis.imaging.volume import Slice
from synthesis.metrics.dice import dice
from synthesis.phantoms import abdomen
from synthesis.phantoms import labels as L
from synthesis.phantoms.labels import LABEL_SET
from tests.shared_data import DATA, needs_shared_data

RECIPE = {
    "image": {"rows": 128, "columns": 128, "normalisation": {}},
    "field": {"fov_mm": [260.0, 560.0], "spacing_mm": [2.0, 4.4]},
}
OWN = label_map([{"value": one.value, "name": one.name} for one in LABEL_SET])
PARTIAL = label_map([{"value": one.value, "name": one.name} for one in LABEL_SET if one.value != L.AIR])
STANDARD = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def slice_of(phantom, **changes):
    plane = flat_plane(phantom.image.shape, phantom.spacing_mm)
    values = {
        "array": phantom.image,
        "spacing_mm": phantom.spacing_mm,
        "units": "HU",
        "position_mm": plane.position_mm,
        "orientation": STANDARD,
    }
    return Slice(**{**values, **changes})


@pytest.fixture(scope="module")
def phantom():
    return abdomen(20_000_003, shape=(256, 256))


def test_a_whole_mask_keeps_its_labels(phantom):
    fitted = fit(mask=phantom.labels, names=OWN, recipe=RECIPE, source=slice_of(phantom))
    assert fitted.labels.shape == (128, 128)
    back = fitted.labels_to_source()
    for value, least in ((L.AIR, 0.98), (L.LIVER, 0.93), (L.FAT, 0.85), (L.MUSCLE, 0.75)):
        assert dice(back, phantom.labels, value) > least
    assert fitted.unmapped == ()
    assert not preflight_mask(fitted.labels, fitted.spacing_mm, RECIPE)


def test_the_body_is_centred_and_as_wide_as_in_training(phantom):
    shifted = np.roll(phantom.image, (12, -10), (0, 1))
    mask = np.roll(phantom.labels, (12, -10), (0, 1))
    fitted = fit(mask=mask, names=OWN, recipe=RECIPE, source=slice_of(phantom, array=shifted))
    row, column = np.nonzero(fitted.labels != L.AIR)
    assert np.ptp(column) + 1 == pytest.approx(BODY_FILL * 128, abs=2)
    assert (column.min() + column.max()) / 2 == pytest.approx(63.5, abs=1)
    assert (row.min() + row.max()) / 2 == pytest.approx(63.5, abs=1)


@pytest.mark.parametrize("seed", range(20_000_010, 20_000_014))
def test_what_a_liver_alone_leaves_out_is_derived_from_the_image(seed):
    phantom = abdomen(seed, shape=(256, 256))
    mask = np.where(phantom.labels == L.LIVER, phantom.labels, 0)
    fitted = fit(mask=mask, names=PARTIAL, recipe=RECIPE, source=slice_of(phantom))
    truth = fit(mask=phantom.labels, names=OWN, recipe=RECIPE, source=slice_of(phantom)).labels
    assert set(fitted.derived) >= {"body outline", "fat", "muscle", "skin"}
    outside = (truth == L.AIR) & ~np.isin(fitted.labels, (L.BODY,))
    assert dice((fitted.labels == L.AIR).astype(int), outside.astype(int), 1) > 0.97
    assert dice(fitted.labels, truth, L.LIVER) > 0.96
    assert dice(fitted.labels, truth, L.FAT) > 0.75
    called_muscle = truth[fitted.labels == L.MUSCLE]
    assert np.isin(called_muscle, (L.MUSCLE, L.RIBS, L.FAT, L.SKIN)).mean() > 0.8
    assert "Derived from the image" in fitted.notes[0]


def test_nothing_is_derived_inside_where_that_is_not_wanted(phantom):
    mask = np.where(phantom.labels == L.LIVER, phantom.labels, 0)
    fitted = fit(mask=mask, names=PARTIAL, recipe=RECIPE, source=slice_of(phantom), derive=False)
    assert set(np.unique(fitted.labels)) == {L.AIR, L.BODY, L.LIVER}


def test_mr_gives_the_outline_only():
    phantom = abdomen(20_000_005, modality="T2", shape=(256, 256))
    mask = np.where(phantom.labels == L.LIVER, phantom.labels, 0)
    source = slice_of(phantom, units="signal")
    fitted = fit(mask=mask, names=PARTIAL, recipe=RECIPE, source=source, modality="MR")
    assert set(np.unique(fitted.labels)) == {L.AIR, L.BODY, L.LIVER}
    truth = fit(mask=phantom.labels, names=OWN, recipe=RECIPE, source=source, modality="MR").labels
    ours, theirs = (x != L.AIR for x in (fitted.labels, truth))
    assert dice(ours.astype(int), theirs.astype(int), 1) > 0.96


def test_gas_that_a_label_set_counts_as_bowel_becomes_air(phantom):
    labels = phantom.labels.copy()
    row, column = [int(v.mean()) for v in np.nonzero(labels == L.LIVER)]
    image = phantom.image.copy()
    labels[row - 6 : row + 6, column - 6 : column + 6] = L.BOWEL
    image[row - 6 : row + 6, column - 6 : column + 6] = -990
    fitted = fit(mask=labels, names=PARTIAL, recipe=RECIPE, source=slice_of(phantom, array=image))
    r, c = fitted.plane.indices(fitted.source_plane.points(row, column))
    assert fitted.labels[round(float(r)), round(float(c))] == L.AIR


@pytest.mark.parametrize(
    "turn",
    [
        lambda a: a[::-1],
        lambda a: a[:, ::-1],
        lambda a: a[::-1, ::-1],
        lambda a: a.T,
        lambda a: a.T[::-1],
    ],
)
def test_any_orientation_of_the_same_slice_gives_the_same_grid(phantom, turn):
    """The patient does not move when the file stores rows upwards or transposed."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in phantom.image.shape], indexing="ij"), -1)
    plane = flat_plane(phantom.image.shape, phantom.spacing_mm)
    turned = np.stack([turn(index[..., 0]), turn(index[..., 1])], -1)
    points = plane.points(turned[..., 0], turned[..., 1])
    unit = lambda v: tuple(v / np.linalg.norm(v))  # noqa: E731
    source = slice_of(
        phantom,
        array=np.ascontiguousarray(turn(phantom.image)),
        position_mm=tuple(points[0, 0]),
        orientation=(*unit(points[0, 1] - points[0, 0]), *unit(points[1, 0] - points[0, 0])),
    )
    straight = fit(mask=phantom.labels, names=OWN, recipe=RECIPE, source=slice_of(phantom))
    fitted = fit(mask=np.ascontiguousarray(turn(phantom.labels)), names=OWN, recipe=RECIPE, source=source)
    np.testing.assert_allclose(fitted.plane.position_mm, straight.plane.position_mm, atol=1e-6)
    np.testing.assert_allclose(fitted.plane.orientation, STANDARD, atol=1e-9)
    assert (fitted.labels != straight.labels).mean() < 0.01


def test_the_grid_stays_in_the_plane_of_a_tilted_slice(phantom):
    tilt = np.deg2rad(12)
    orientation = (1.0, 0.0, 0.0, 0.0, float(np.cos(tilt)), float(np.sin(tilt)))
    source = slice_of(phantom, orientation=orientation)
    fitted = fit(mask=phantom.labels, names=OWN, recipe=RECIPE, source=source)
    assert fitted.plane.orientation == pytest.approx(orientation)
    normal = np.cross(orientation[:3], orientation[3:])
    away = np.array(fitted.plane.position_mm) - np.array(plane_of(source).position_mm)
    assert away @ normal == pytest.approx(0, abs=1e-9)


def test_an_image_comes_back_onto_the_source(phantom):
    fitted = fit(mask=phantom.labels, names=OWN, recipe=RECIPE, source=slice_of(phantom))
    back = fitted.to_source(fitted.image, outside=-1000.0)
    assert back.shape == phantom.image.shape
    liver = phantom.labels == L.LIVER
    assert back[liver].mean() == pytest.approx(phantom.image[liver].mean(), abs=3)


def test_without_an_image_the_outline_is_a_guess_and_says_so():
    mask = np.zeros((100, 100), np.uint8)
    mask[30:60, 20:60] = L.LIVER
    mask[40:60, 70:80] = L.SPLEEN
    fitted = fit(mask=mask, names=PARTIAL, recipe=RECIPE, spacing_mm=(3.0, 3.0))
    assert "guess" in fitted.notes[0]
    assert {L.AIR, L.BODY, L.LIVER, L.SPLEEN} == set(np.unique(fitted.labels))


def test_a_lesion_too_small_for_the_grid_is_reported(phantom):
    labels = phantom.labels.copy()
    labels[labels == L.LESION] = L.LIVER
    row, column = [int(v.mean()) for v in np.nonzero(labels == L.LIVER)]
    labels[row, column] = L.LESION
    fitted = fit(mask=labels, names=OWN, recipe=RECIPE, source=slice_of(phantom))
    assert fitted.lost == ("lesion",)
    assert any("lesion" in note for note in fitted.notes)


def test_a_field_of_view_beyond_training_is_held_to_it():
    phantom = abdomen(20_000_003, shape=(256, 256))
    recipe = {**RECIPE, "field": {"fov_mm": [300.0, 350.0]}}
    fitted = fit(mask=phantom.labels, names=OWN, recipe=recipe, source=slice_of(phantom))
    assert 128 * fitted.spacing_mm[1] <= 350.0 + 1e-6


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"orientation": (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)}, "not axial"),
        ({"array": np.zeros((256, 256, 3), np.float32)}, "colour"),
        ({"array": np.zeros((10, 10), np.float32)}, "10 x 10"),
    ],
)
def test_unfit_sources_are_refused_in_words(phantom, changes, words):
    with pytest.raises(SynthesisError, match=words):
        fit(mask=phantom.labels, names=OWN, recipe=RECIPE, source=slice_of(phantom, **changes))


def test_an_empty_slice_with_an_empty_mask_is_refused(phantom):
    source = slice_of(phantom, array=np.full((256, 256), -1000, np.float32))
    with pytest.raises(SynthesisError, match="No body"):
        fit(mask=np.zeros((256, 256), np.uint8), names=PARTIAL, recipe=RECIPE, source=source)


def nifti_slice(folder, index):
    """Slice `index` of a TotalSegmentator example as (Slice, mask, names)."""
    nibabel = pytest.importorskip("nibabel")
    image, label = (nibabel.load(DATA / "nifti" / folder / f"{kind}.nii.gz") for kind in ("image", "label"))
    affine = LPS_TO_RAS @ image.affine
    along = [affine[:3, axis] for axis in (0, 1)]
    spacing = [float(np.linalg.norm(v)) for v in along]
    source = Slice(
        array=image.get_fdata(dtype=np.float32)[:, :, index].T,
        spacing_mm=(spacing[1], spacing[0]),
        units="HU",
        position_mm=tuple((affine @ [0, 0, index, 1])[:3]),
        orientation=(*along[0] / spacing[0], *along[1] / spacing[1]),
    )
    table = re.findall(
        r'Label Key="(\d+)".*?CDATA\[(.*?)\]', label.header.extensions[0].get_content().decode()
    )
    names = label_map([{"value": int(key), "name": name} for key, name in table])
    return source, np.asanyarray(label.dataobj)[:, :, index].T.astype(np.uint16), names


@needs_shared_data
@pytest.mark.parametrize("index", [5, 15, 25])
def test_a_totalsegmentator_ct_fits(index):
    source, mask, names = nifti_slice("totalseg_ct_small_multiorgan", index)
    fitted = fit(mask=mask, names=names, recipe=RECIPE, source=source)
    assert {L.AIR, L.BODY, L.FAT, L.MUSCLE, L.BONE, L.LIVER, L.SPLEEN, L.AORTA, L.SKIN} <= set(
        np.unique(fitted.labels)
    )
    # Skin lies on the outside only, and all around: none beside the gas of the bowel.
    body = ndimage.binary_fill_holes(fitted.labels != L.AIR)
    ring = body & ~ndimage.binary_erosion(body, border_value=1)
    assert (ring[fitted.labels == L.SKIN]).all()
    assert np.isin(fitted.labels[ring], (L.SKIN, L.RIBS, L.LIVER, L.BONE, L.LUNG)).mean() > 0.95
    # The liver lies at the patient's right: on the left of the picture.
    assert (
        np.nonzero(fitted.labels == L.LIVER)[1].mean() < 64 < np.nonzero(fitted.labels == L.SPLEEN)[1].mean()
    )
    assert fitted.image[fitted.labels == L.FAT].mean() == pytest.approx(-95, abs=20)
    assert (fitted.labels == L.BODY).sum() < 0.15 * (fitted.labels != L.AIR).sum()
    assert not preflight_mask(fitted.labels, fitted.spacing_mm, RECIPE)
    assert "heart" in fitted.unmapped


@needs_shared_data
def test_a_totalsegmentator_mr_fits():
    source, mask, names = nifti_slice("totalseg_mr_small", 15)
    fitted = fit(mask=mask, names=names, recipe=RECIPE, source=source, modality="MR")
    assert fitted.derived == ("body outline",)
    assert np.nonzero(fitted.labels == L.LIVER)[1].mean() < 64
    # Spine behind, so the rows run to the back.
    assert np.nonzero(fitted.labels == L.BONE)[0].mean() > 70
    assert not preflight_mask(fitted.labels, fitted.spacing_mm, RECIPE)


def test_a_source_on_the_models_own_grid_stays_there_where_that_is_asked_for() -> None:
    recipe = {"image": {"rows": 128, "columns": 128}, "field": {"spacing_mm": [2, 4], "fov_mm": [300, 500]}}
    assert is_own_grid(flat_plane((128, 128), (3.2, 3.2)), recipe)
    assert not is_own_grid(flat_plane((128, 130), (3.2, 3.2)), recipe)
    assert not is_own_grid(flat_plane((128, 128), (3.2, 2.9)), recipe)
    assert not is_own_grid(flat_plane((128, 128), (2.1, 2.1)), recipe)  # a field of 269 mm
    turned = replace(flat_plane((128, 128), (3.2, 3.2)), orientation=(-1.0, 0, 0, 0, 1.0, 0))
    assert not is_own_grid(turned, recipe)
