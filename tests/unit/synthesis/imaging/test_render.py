"""Pictures and NIfTI files say that they are synthetic, except to a reader who must not know."""

import gzip
from io import BytesIO

import nibabel
import numpy as np
import pytest
from PIL import Image

from synthesis.imaging.geometry import LPS_TO_RAS
from synthesis.imaging.nifti_write import nifti_bytes
from synthesis.imaging.plane import Plane, flat_plane
from synthesis.imaging.render import render_png, windowed

IMAGE = np.full((128, 128), 40.0, np.float32)
WINDOW = (40.0, 400.0)


def opened(data):
    return Image.open(BytesIO(data))


def test_the_window_is_linear_and_clips():
    assert windowed(np.array([-500.0, -160.0, 40.0, 240.0, 900.0]), WINDOW).tolist() == [0, 0, 128, 255, 255]


def test_a_synthetic_picture_carries_the_word():
    picture = opened(render_png(IMAGE, WINDOW))
    assert picture.size == (512, 512)
    assert "SYNTHETIC" in picture.text["Description"]
    corner = np.asarray(picture.convert("RGB"))[-60:, :260]
    assert (np.ptp(corner.astype(int), axis=2) > 60).sum() > 200  # coloured letters


@pytest.mark.parametrize("options", [{"is_synthetic": False}, {"is_blinded": True}])
def test_real_and_blinded_pictures_carry_nothing(options):
    picture = opened(render_png(IMAGE, WINDOW, **options))
    assert not getattr(picture, "text", {})
    assert np.unique(np.asarray(picture)).tolist() == [128]


def test_a_mask_is_drawn_in_its_colour():
    labels = np.zeros((128, 128), np.uint8)
    labels[:, 64:] = 6
    names = [{"value": 6, "name": "liver", "color": "#ff0000"}]
    picture = np.asarray(opened(render_png(IMAGE, WINDOW, labels=labels, names=names, is_blinded=True)))
    assert picture[10, 10].tolist() == [128, 128, 128]
    red, green, blue = picture[10, 500]
    assert red > 170
    assert green == blue == pytest.approx(77, abs=1)


def test_pixels_are_shown_square():
    assert opened(render_png(IMAGE, WINDOW, spacing_mm=(2.0, 1.0))).size == (512, 1024)


def test_nifti_says_synthetic_and_keeps_values_and_place():
    planes = []
    for k in range(3):
        flat = flat_plane((4, 5), (2.0, 3.0))
        planes.append(Plane(**{**vars(flat), "position_mm": (*flat.position_mm[:2], 5.0 * k)}))
    stack = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    data = nifti_bytes(stack, planes, description="Semblance abdomen-2d 1.0")
    image = nibabel.Nifti1Image.from_bytes(gzip.decompress(data))
    assert bytes(image.header["descrip"]).startswith(b"SYNTHETIC Semblance abdomen-2d")
    assert np.array_equal(np.asanyarray(image.dataobj), stack.transpose(2, 1, 0))
    point = LPS_TO_RAS @ image.affine @ [4, 3, 2, 1]
    np.testing.assert_allclose(point[:3], planes[2].points(3, 4), atol=1e-4)
    assert data == nifti_bytes(stack, planes, description="Semblance abdomen-2d 1.0")


def test_a_real_nifti_says_nothing_and_uneven_slices_are_refused():
    planes = [
        Plane(**{**vars(flat_plane((4, 5), (2.0, 3.0))), "position_mm": (0.0, 0.0, z)})
        for z in (0.0, 1.0, 9.0)
    ]
    with pytest.raises(ValueError, match="evenly"):
        nifti_bytes(np.zeros((3, 4, 5), np.int16), planes)
    data = nifti_bytes(np.zeros((1, 4, 5), np.int16), planes[:1], is_synthetic=False)
    assert b"SYNTHETIC" not in gzip.decompress(data)
