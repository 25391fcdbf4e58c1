"""PSNR, SSIM, MS-SSIM and LPIPS against closed forms and an independent computation."""

import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from monai.metrics import MultiScaleSSIMMetric, SSIMMetric
from scipy import ndimage

from synthesis.errors import SynthesisError
from synthesis.metrics import perceptual
from synthesis.metrics.perceptual import Lpips
from synthesis.metrics.psnr import psnr
from synthesis.metrics.ssim import ms_ssim, ssim


def picture(seed, *shape):
    return ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), 1.5)


def test_psnr_of_a_known_error():
    truth = picture(0, 8, 8)
    assert psnr(truth + 0.1, truth, data_range=1.0) == pytest.approx(20.0)
    assert psnr(truth + 40, truth, data_range=400) == pytest.approx(20.0)
    assert psnr(truth, truth, data_range=1.0) == float("inf")


@pytest.mark.parametrize("measure", [ssim, ms_ssim])
@pytest.mark.parametrize("shape", [(180, 190), (176, 176)])
def test_equal_images_are_at_one(measure, shape):
    assert measure(picture(0, *shape), picture(0, *shape), data_range=1.0) == pytest.approx(1.0)


def test_ssim_of_flat_images_is_its_luminance_term():
    a, b, c1 = 0.3, 0.7, 0.01**2
    expected = (2 * a * b + c1) / (a**2 + b**2 + c1)
    assert ssim(np.full((20, 20), a), np.full((20, 20), b), data_range=1.0) == pytest.approx(expected)
    a, b, c1 = 120.0, 280.0, 4.0**2
    expected = (2 * a * b + c1) / (a**2 + b**2 + c1)
    assert ssim(np.full((12, 12, 12), a), np.full((12, 12, 12), b), data_range=400) == pytest.approx(expected)


@pytest.mark.parametrize(("shape", "window"), [((40, 51), 11), ((40, 51), 7), ((16, 20, 18), 11)])
def test_ssim_is_that_of_monai(shape, window):
    x, y = picture(0, *shape), picture(1, *shape)
    monai = SSIMMetric(spatial_dims=len(shape), data_range=2.0, win_size=window)
    expected = monai(*(torch.from_numpy(one)[None, None] for one in (x, y)))
    assert ssim(x, y, data_range=2.0, window=window) == pytest.approx(expected.item(), abs=2e-5)


@pytest.mark.parametrize(("shape", "window"), [((192, 180), 11), ((128, 133), 7)])
def test_ms_ssim_is_that_of_monai(shape, window):
    x = picture(0, *shape)
    y = x + 0.3 * picture(1, *shape)
    monai = MultiScaleSSIMMetric(spatial_dims=2, data_range=1.0, kernel_size=window)
    expected = monai(*(torch.from_numpy(one)[None, None] for one in (x, y)))
    assert ms_ssim(x, y, data_range=1.0, window=window) == pytest.approx(expected.item(), abs=1e-4)


def test_opposite_images_are_at_zero_over_all_scales():
    x = picture(0, 176, 176) - 0.5
    assert ms_ssim(x, -x, data_range=1.0) == 0.0


def test_ms_ssim_says_which_window_fits():
    small = picture(0, 128, 128)
    with pytest.raises(ValueError, match=r"176 pixels a side.*window of 7 would fit"):
        ms_ssim(small, small, data_range=1.0)
    assert ms_ssim(small, small, data_range=1.0, window=7) == pytest.approx(1.0)
    with pytest.raises(ValueError, match=r"got \(20, 20\)\.$"):
        ms_ssim(small[:20, :20], small[:20, :20], data_range=1.0)


@pytest.mark.parametrize("measure", [psnr, ssim, ms_ssim])
def test_shapes_and_ranges_that_make_no_sense_are_refused(measure):
    with pytest.raises(ValueError, match="shape"):
        measure(np.zeros((200, 200)), np.zeros((200, 201)), data_range=1.0)
    with pytest.raises(ValueError, match="data_range"):
        measure(np.zeros((200, 200)), np.zeros((200, 200)), data_range=0.0)


def test_ssim_needs_its_window_to_fit():
    with pytest.raises(ValueError, match="odd"):
        ssim(np.zeros((40, 40)), np.zeros((40, 40)), data_range=1.0, window=10)
    with pytest.raises(ValueError, match="window of 11"):
        ssim(np.zeros((8, 40)), np.zeros((8, 40)), data_range=1.0)


def test_lpips_says_plainly_that_it_is_not_there(monkeypatch):
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(SynthesisError, match="not installed"):
        Lpips()


def test_lpips_shows_the_window_to_the_network(monkeypatch):
    """The package, which needs torchvision, stands at the edge of the world: here it is played."""

    class Played(torch.nn.Module):
        def __init__(self, net, verbose):
            super().__init__()
            self.net = net

        def forward(self, a, b):
            assert a.shape == b.shape == (1, 3, 4, 4)
            return (a - b).abs().mean().reshape(1, 1, 1, 1)

    package = ModuleType("lpips")
    package.LPIPS = Played
    monkeypatch.setitem(sys.modules, "lpips", package)
    monkeypatch.setattr(perceptual, "version", lambda name: "0.1.4")
    measure = Lpips("vgg")
    assert measure.about == "lpips 0.1.4, vgg"
    image, truth = np.full((4, 4), 100.0), np.full((4, 4), -500.0)
    assert measure(image, truth, low=-200, high=200) == pytest.approx(1.5)
    with pytest.raises(ValueError, match="window"):
        measure(image, truth, low=1, high=1)
    with pytest.raises(ValueError, match="one shape"):
        measure(image, truth[:2], low=0, high=1)
    with pytest.raises(ValueError, match="net"):
        Lpips("resnet")
