"""The contact sheet: its pictures and its PNG."""

import io

import numpy as np
import pytest
from PIL import Image

from synthesis.phantoms import LABEL_SET, abdomen
from synthesis.phantoms.sheet import colours, grey, main, png


def test_png_is_read_back_equal():
    picture = np.random.default_rng(0).integers(0, 256, (7, 5, 3), dtype=np.uint8)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png(picture)))), picture)


def test_png_refuses_other_arrays():
    with pytest.raises(ValueError, match="float"):
        png(np.zeros((2, 2, 3)))


def test_grey_and_colours_show_the_phantom():
    phantom = abdomen(0, shape=(48, 48))
    assert grey(phantom).shape == colours(phantom.labels).shape == (48, 48, 3)
    assert tuple(colours(np.array([[6]], np.uint8))[0, 0]) == tuple(bytes.fromhex(LABEL_SET[6].color[1:]))


def test_the_command_writes_the_sheet_and_explains_itself(tmp_path, capsys):
    assert main([str(tmp_path / "made" / "sheet.png")]) == 0
    with Image.open(tmp_path / "made" / "sheet.png") as sheet:
        assert sheet.size[0] > 1000
        assert np.asarray(sheet).std() > 30
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err
