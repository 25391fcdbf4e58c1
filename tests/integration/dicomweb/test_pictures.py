"""Rendered frames and thumbnails: windowed by the standard, marked where they are synthetic."""

import io

import numpy as np
import pydicom
import pytest
from django.core.files.storage import default_storage
from PIL import Image

from tests import factories
from tests.integration.dicomweb.addresses import instance_address, series_address

pytestmark = pytest.mark.django_db


def picture(browser, address, query=None):
    response = browser.get(address, query or {}, headers={"Accept": "image/png"})
    assert response.status_code == 200, response.content
    return np.asarray(Image.open(io.BytesIO(response.content)))


def test_a_rendered_frame_is_windowed_as_the_standard_says(shared_case, browser):
    center, width = 100.0, 300.0
    shown = picture(
        browser, instance_address(shared_case, "rendered"), {"window": f"{center},{width},linear"}
    )
    with default_storage.open(shared_case.instances.get(number=1).file) as file:
        image = pydicom.dcmread(file)
    values = image.pixel_array * float(image.RescaleSlope) + float(image.RescaleIntercept)
    expected = np.clip(((values - (center - 0.5)) / (width - 1) + 0.5) * 255, 0, 255)
    assert np.abs(shown.astype(float) - expected).max() <= 0.51


def test_a_viewport_bounds_the_picture(shared_case, browser):
    shown = picture(browser, instance_address(shared_case, "rendered"), {"viewport": "40,64"})
    assert shown.shape == (40, 40)


@pytest.mark.parametrize(
    "query", [{"window": "1"}, {"window": "1,0,linear"}, {"viewport": "0,5"}, {"quality": "x"}]
)
def test_impossible_renderings_are_400(shared_case, browser, query):
    assert browser.get(instance_address(shared_case, "rendered"), query).status_code == 400


def test_pictures_of_synthetic_cases_say_so_and_others_do_not(reader, browser):
    dataset = factories.dataset(shares={reader: "view"})
    case = factories.case(dataset=dataset)
    address = instance_address(case, "rendered")
    query = {"window": "0,2000,linear", "viewport": "256,256"}
    plain = picture(browser, address, query)
    case.is_synthetic = True
    case.save()
    marked = picture(browser, address, query)
    changed = np.argwhere(marked != plain)
    assert len(changed) > 200
    # The word lies along the lower edge and covers nothing above it.
    assert changed[:, 0].min() > 256 * 0.85
    assert marked[changed[:, 0], changed[:, 1]].max() >= 250  # where it was white already nothing changed
    thumbnail = picture(browser, series_address(case, "thumbnail"), {})
    assert (thumbnail == 255).sum() > 100
