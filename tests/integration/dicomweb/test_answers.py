"""Forms of answers: impossible ones, single frames, cache tags, and how much is read for one frame."""

import numpy as np
import pydicom
import pytest
from django.core.files.storage import FileSystemStorage
from pydicom.data import get_testdata_file
from pydicom.uid import RLELossless

from tests import factories
from tests.integration.dicomweb.addresses import ANY_SYNTAX, instance_address, parts_of
from webapp.cases.dicomweb.accept import EXPLICIT_LITTLE
from webapp.cases.services import case_create_from_dicom

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("rest", "accept"),
    [
        ((), "application/pdf"),
        (("metadata",), "application/dicom+xml"),
        (("metadata",), 'multipart/related; type="application/dicom+xml"'),
        (("frames", "1"), 'multipart/related; type="image/jp2"'),
        (("frames", "1"), "text/html"),
        (("rendered",), "image/gif"),
    ],
)
def test_an_impossible_form_is_406(shared_case, browser, rest, accept):
    response = browser.get(instance_address(shared_case, *rest), headers={"Accept": accept})
    assert response.status_code == 406
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["detail"]


def test_one_frame_can_come_alone(shared_case, browser):
    response = browser.get(
        instance_address(shared_case, "frames", "1"), headers={"Accept": "application/octet-stream"}
    )
    assert response["Content-Type"] == f"application/octet-stream; transfer-syntax={EXPLICIT_LITTLE}"
    assert len(response.content) == shared_case.rows * shared_case.columns * 2


@pytest.mark.parametrize(
    ("frames", "status"), [("2", 404), ("0", 400), ("a", 400), ("1,,2", 400), ("-1", 400)]
)
def test_frames_that_cannot_be(shared_case, browser, frames, status):
    assert browser.get(instance_address(shared_case, "frames", frames)).status_code == status


def test_answers_are_private_and_confirmed_by_their_tag(shared_case, browser):
    for rest in ((), ("metadata",), ("frames", "1"), ("rendered",)):
        address = instance_address(shared_case, *rest)
        first = browser.get(address)
        assert first["Cache-Control"].startswith("private")
        assert {"Cookie", "Authorization", "Accept"} <= {one.strip() for one in first["Vary"].split(",")}
        again = browser.get(address, headers={"If-None-Match": first["ETag"]})
        assert (again.status_code, again.content) == (304, b"")


class _Counted:
    def __init__(self, file, total):
        self.file, self.total = file, total

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()

    def seek(self, *place):
        return self.file.seek(*place)

    def read(self, size=-1):
        data = self.file.read(size)
        self.total.append(len(data))
        return data


def multi_frame_file(folder, frames=4, *, compress=False):
    """A grey multi-frame secondary capture whose frames differ, and its pixels."""
    image = pydicom.dcmread(get_testdata_file("MR_small.dcm"))
    pixels = np.stack([image.pixel_array + 100 * number for number in range(frames)])
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7.3"
    image.NumberOfFrames = frames
    image.PixelData = pixels.tobytes()
    if compress:
        image.compress(RLELossless, generate_instance_uid=False)
    path = folder / "multi.dcm"
    image.save_as(path)
    return path, pixels


@pytest.fixture(params=[False, True], ids=["native", "compressed"])
def multi_frame_case(request, reader, tmp_path):
    path, pixels = multi_frame_file(tmp_path, compress=request.param)
    dataset = factories.dataset(shares={reader: "view"})
    return case_create_from_dicom(files=[path], name="Frames", attributes={}, dataset=dataset), pixels


def test_one_frame_of_many_reads_only_its_own_bytes(multi_frame_case, browser, monkeypatch):
    case, pixels = multi_frame_case
    read = []
    opened = FileSystemStorage.open
    monkeypatch.setattr(
        FileSystemStorage, "open", lambda self, *args, **named: _Counted(opened(self, *args, **named), read)
    )
    response = browser.get(instance_address(case, "frames", "2"), headers={"Accept": ANY_SYNTAX})
    ((_, data),) = parts_of(response)
    assert sum(read) == len(data)
    read.clear()
    plain = {"Accept": 'multipart/related; type="application/octet-stream"'}
    ((_, decoded),) = parts_of(browser.get(instance_address(case, "frames", "2"), headers=plain))
    assert sum(read) == len(data)
    np.testing.assert_array_equal(np.frombuffer(decoded, pixels.dtype).reshape(pixels[1].shape), pixels[1])


def test_several_frames_come_in_the_order_asked(multi_frame_case, browser):
    case, pixels = multi_frame_case
    plain = {"Accept": 'multipart/related; type="application/octet-stream"'}
    parts = parts_of(browser.get(instance_address(case, "frames", "4,1"), headers=plain))
    for (_, data), expected in zip(parts, (pixels[3], pixels[0]), strict=True):
        np.testing.assert_array_equal(np.frombuffer(data, pixels.dtype).reshape(expected.shape), expected)
    assert browser.get(instance_address(case, "frames", "5")).status_code == 404
