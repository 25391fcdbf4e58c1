"""Every transfer syntax: frames as stored, frames decoded, whole instances."""

import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from django.core.files.storage import default_storage

from tests import factories
from tests.integration.dicomweb.addresses import ANY_SYNTAX, body_of, instance_address, parts_of
from tests.shared_data import DATA, needs_shared_data
from webapp.cases.dicomweb.accept import EXPLICIT_LITTLE
from webapp.cases.selectors import case_stored_slice
from webapp.cases.services import case_create_from_dicom

pytestmark = pytest.mark.django_db
SYNTAX_FILES = sorted((DATA / "dicom" / "ct_one_image_many_syntaxes").glob("*.dcm")) if DATA.is_dir() else []
UNDECODABLE = {"CT_JPEGProcess10_12.dcm", "CT_JPEGProcess6_8.dcm"}


@needs_shared_data
@pytest.mark.parametrize(
    "path", [one for one in SYNTAX_FILES if one.name not in UNDECODABLE], ids=lambda path: Path(path).stem
)
def test_every_transfer_syntax_comes_whole_and_decoded(path, reader, browser):
    original = pydicom.dcmread(path)
    case = case_create_from_dicom(
        files=[path], name=path.stem, attributes={}, dataset=factories.dataset(shares={reader: "view"})
    )
    instance = case.instances.get()
    expected = case_stored_slice(case, 0)
    if original.file_meta.TransferSyntaxUID != "1.2.840.10008.1.2.4.51":  # pydicom has no 12-bit decoder
        np.testing.assert_array_equal(expected, original.pixel_array)

    ((kind, stored),) = parts_of(
        browser.get(instance_address(case, "frames", "1"), headers={"Accept": ANY_SYNTAX})
    )
    assert kind == f"application/octet-stream; transfer-syntax={instance.transfer_syntax_uid}"
    with default_storage.open(instance.file) as file:
        content = file.read()
    assert stored in content

    plain = 'multipart/related; type="application/octet-stream"'
    ((kind, decoded),) = parts_of(
        browser.get(instance_address(case, "frames", "1"), headers={"Accept": plain})
    )
    assert kind.endswith(EXPLICIT_LITTLE)
    np.testing.assert_array_equal(np.frombuffer(decoded, expected.dtype).reshape(expected.shape), expected)

    answer = browser.get(instance_address(case), headers={"Accept": "application/dicom; transfer-syntax=*"})
    assert body_of(answer) == content
    if original.file_meta.TransferSyntaxUID != "1.2.840.10008.1.2.4.51":
        whole = pydicom.dcmread(
            io.BytesIO(body_of(browser.get(instance_address(case), headers={"Accept": "application/dicom"})))
        )
        assert whole.file_meta.TransferSyntaxUID == EXPLICIT_LITTLE
        np.testing.assert_array_equal(whole.pixel_array, expected)
