"""Masks to and from the viewer: equal after saving, versions, permissions, bad uploads."""

import io
import json
import zlib

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from PIL import Image

from tests import factories
from webapp.cases.models import Mask
from webapp.cases.previews import mask_plane
from webapp.cases.selectors import mask_array

pytestmark = pytest.mark.django_db
LABELS = [
    {"value": 6, "name": "liver", "color": "#c8713d"},
    {"value": 300, "name": "far", "color": "#ffffff"},
]


@pytest.fixture
def painter(storage):
    return factories.person("clinician")


@pytest.fixture
def case(painter):
    return factories.case(dataset=factories.dataset(shares={painter: "annotate"}), slices=3)


@pytest.fixture
def browser(client_of, painter):
    return client_of(painter)


def painting(case):
    values = np.zeros((case.slice_count, case.rows, case.columns), np.uint16)
    values[1, 10:20, 30:50] = 6
    values[2, 5, 7] = 300
    return values


def form(case, values=None, **changes):
    values = painting(case) if values is None else values
    voxels = zlib.compress(values.astype("<u2").tobytes())
    fields = {
        "name": "Painted",
        "labels": json.dumps(LABELS),
        "shape": json.dumps(values.shape),
        "voxels": SimpleUploadedFile("mask.zz", voxels, "application/octet-stream"),
    }
    return {name: value for name, value in (fields | changes).items() if value is not None}


def save(browser, case, **changes):
    address = reverse("cases:mask-list", kwargs={"case_id": case.pk})
    return browser.post(address, form(case, **changes), headers={"Accept": "application/json"})


def test_a_painted_mask_comes_back_equal(browser, case, painter):
    answer = save(browser, case, expected_version="0")
    assert answer.status_code == 201, answer.content
    saved = answer.json()
    assert (saved["version"], saved["shape"]) == (1, [3, case.rows, case.columns])
    response = browser.get(saved["url"])
    assert response["Content-Type"] == "application/octet-stream"
    raw = zlib.decompress(b"".join(response.streaming_content))
    np.testing.assert_array_equal(np.frombuffer(raw, "<u2").reshape(saved["shape"]), painting(case))
    mask = Mask.objects.get(pk=saved["id"])
    assert (mask.origin, mask.created_by) == ("painted", painter)
    np.testing.assert_array_equal(mask_array(mask), painting(case))
    again = browser.get(saved["url"], headers={"If-None-Match": response["ETag"]})
    assert again.status_code == 304


def test_a_second_save_is_the_next_version_and_a_late_one_is_refused(browser, case):
    first = save(browser, case, expected_version="0").json()
    changed = painting(case)
    changed[0, 0, 0] = 6
    second = save(browser, case, values=changed, expected_version="1")
    assert second.json()["version"] == 2
    late = save(browser, case, values=changed * 0, expected_version="1")
    assert late.status_code == 409
    assert "version 2" in late.json()["detail"]
    listed = browser.get(reverse("cases:mask-list", kwargs={"case_id": case.pk})).json()["masks"]
    assert [(one["name"], one["version"]) for one in listed] == [("Painted", 2)]
    # What was replaced can still be fetched.
    assert browser.get(first["url"]).status_code == 200


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"voxels": None}, "voxels"),
        ({"voxels": SimpleUploadedFile("mask.zz", b"not zlib")}, "voxels"),
        ({"voxels": SimpleUploadedFile("mask.zz", zlib.compress(b"\0" * 10))}, "voxels"),
        ({"voxels": SimpleUploadedFile("mask.zz", zlib.compress(b"\0" * 10_000_000))}, "voxels"),
        ({"labels": "{"}, "labels"),
        ({"labels": "[1]"}, "labels"),
        ({"labels": "[]"}, "labels"),
        (
            {"labels": json.dumps([{"value": n, "name": str(n), "color": "#000000"} for n in range(1, 300)])},
            "labels",
        ),
        ({"name": "  "}, "name"),
        ({"expected_version": "two"}, "expected_version"),
    ],
)
def test_a_bad_upload_is_refused_in_plain_words_and_nothing_is_stored(browser, case, change, field):
    response = save(browser, case, **change)
    assert response.status_code == 400, response.content
    assert response.json()["detail"]
    assert response.json()["errors"][0]["field"] == field
    assert not case.masks.exists()


def test_an_upload_that_unpacks_to_far_more_is_not_unpacked(browser, case):
    size = case.slice_count * case.rows * case.columns * 2
    bomb = SimpleUploadedFile("mask.zz", zlib.compress(b"\0" * (size * 200), 9))
    assert save(browser, case, voxels=bomb).status_code == 400


def test_only_those_who_may_annotate_save_and_only_those_who_may_see_fetch(case, browser, client_of):
    saved = save(browser, case).json()
    viewer, stranger = factories.person("clinician"), factories.person("researcher")
    case.dataset.shares.create(user=viewer, level="view")
    assert client_of(viewer).get(saved["url"]).status_code == 200
    assert save(client_of(viewer), case).status_code == 403
    for address in (saved["url"], reverse("cases:mask-list", kwargs={"case_id": case.pk})):
        assert client_of(stranger).get(address).status_code == 404
    assert save(client_of(stranger), case).status_code == 404
    assert Mask.objects.count() == 1


def test_the_signed_out_get_a_sentence_not_a_login_page(case, client):
    response = save(client, case)
    assert response.status_code == 401
    assert "signed out" in response.json()["detail"].lower()


def test_a_mask_is_found_only_under_its_own_case(browser, case, painter):
    other = factories.case(dataset=case.dataset)
    mask = factories.mask(case, painter)
    address = reverse("cases:mask-voxels", kwargs={"case_id": other.pk, "mask_id": mask.pk})
    assert browser.get(address).status_code == 404


def test_one_plane_is_read_out_of_a_stored_mask(case, painter, browser):
    save(browser, case)
    mask = case.masks.get()
    for index in range(3):
        np.testing.assert_array_equal(mask_plane(mask, index), painting(case)[index])
    with pytest.raises(ValueError, match="expected 0"):
        mask_plane(mask, 3)


def test_a_preview_shows_the_mask_in_its_colour(case, browser):
    saved = save(browser, case).json()
    address = reverse("cases:mask-preview", kwargs={"case_id": case.pk, "mask_id": saved["id"]})
    response = browser.get(address, {"slice": "1"})
    image = np.asarray(Image.open(io.BytesIO(response.content)).convert("RGB")).astype(int)
    scale = image.shape[0] / case.rows
    row, column = (int(value * scale) for value in (15, 40))
    plain = browser.get(reverse("cases:case-preview", kwargs={"case_id": case.pk}), {"slice": "1"})
    ground = np.asarray(Image.open(io.BytesIO(plain.content)).convert("RGB")).astype(int)
    expected = ground[row, column] * 0.55 + np.array([0xC8, 0x71, 0x3D]) * 0.45
    assert np.abs(image[row, column] - expected).max() < 6
    np.testing.assert_array_equal(image[:5], ground[:5])
    assert browser.get(address, {"slice": "3"}, headers={"Accept": "application/json"}).status_code == 400


def test_the_case_page_opens_where_it_is_asked_to(case, browser, painter):
    mask = factories.mask(case, painter)
    response = browser.get(
        reverse("cases:case-detail", kwargs={"case_id": case.pk}), {"slice": "2", "mask": mask.pk}
    )
    assert response.status_code == 200
    config = response.context["config"]
    assert (config["slice"], config["mask"], config["may_annotate"]) == (2, str(mask.pk), True)
    assert [frame["sop"] for frame in config["case"]["frames"]] == list(
        case.instances.order_by("number").values_list("sop_instance_uid", flat=True)
    )
    positions = [frame["position_mm"] for frame in config["case"]["frames"]]
    assert np.allclose(np.diff(positions), 5.0)
    for odd in ("99", "-1", "x", "9" * 30):
        page = browser.get(
            reverse("cases:case-detail", kwargs={"case_id": case.pk}), {"slice": odd, "mask": odd}
        )
        assert (page.context["config"]["slice"], page.context["config"]["mask"]) == (1, None)


def test_a_viewer_is_offered_no_brush_and_a_stranger_no_page(case, client_of):
    viewer = factories.person("clinician")
    case.dataset.shares.create(user=viewer, level="view")
    address = reverse("cases:case-detail", kwargs={"case_id": case.pk})
    page = client_of(viewer).get(address).content.decode()
    assert "tool.brush" not in page
    assert "save-form" not in page
    assert client_of(factories.person("clinician")).get(address).status_code == 404
