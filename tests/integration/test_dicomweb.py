"""DICOMweb as real clients use it: searching, retrieving, permissions, forms of answers."""

import io
from email import message_from_bytes
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient
from django.core.files.storage import FileSystemStorage, default_storage
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.uid import RLELossless
from requests import Session

from tests import factories
from tests.shared_data import DATA, needs_shared_data
from webapp.accounts.services import token_create
from webapp.cases.dicomweb.accept import EXPLICIT_LITTLE
from webapp.cases.services import case_create_from_dicom

pytestmark = pytest.mark.django_db
ANY_SYNTAX = "multipart/related; type=application/octet-stream; transfer-syntax=*"
SYNTAX_FILES = sorted((DATA / "dicom" / "ct_one_image_many_syntaxes").glob("*.dcm")) if DATA.is_dir() else []
UNDECODABLE = {"CT_JPEGProcess10_12.dcm", "CT_JPEGProcess6_8.dcm"}


def series_address(case, *rest):
    return "/".join(["/dicomweb/studies", case.study_uid, "series", case.series_uid, *rest])


def instance_address(case, *rest, number=1):
    uid = case.instances.get(number=number).sop_instance_uid
    return series_address(case, "instances", uid, *rest)


def parts_of(response):
    """The parts of a multipart answer: (content type, bytes)."""
    body = b"".join(response.streaming_content) if response.streaming else response.content
    head = f"Content-Type: {response['Content-Type']}\r\n\r\n".encode()
    message = message_from_bytes(head + body)
    return [(part["Content-Type"], part.get_payload(decode=True)) for part in message.get_payload()]


def body_of(response):
    return b"".join(response.streaming_content) if response.streaming else response.content


@pytest.fixture
def reader(storage):
    return factories.person("clinician")


@pytest.fixture
def shared_case(reader):
    dataset = factories.dataset(shares={reader: "view"})
    return factories.case(dataset=dataset, slices=3)


@pytest.fixture
def browser(client_of, reader):
    return client_of(reader)


# --- a real client against a real server


@pytest.fixture
def dicomweb(live_server, storage):
    """A person, and a dicomweb-client that carries their token."""
    person = factories.person("researcher")
    _, token = token_create(user=person, name="dicomweb")
    session = Session()
    session.headers["Authorization"] = f"Bearer {token}"
    return person, DICOMwebClient(url=f"{live_server.url}/dicomweb", session=session)


@pytest.mark.django_db(transaction=True)
def test_dicomweb_client_searches_and_retrieves(dicomweb):
    person, client = dicomweb
    case = factories.case(dataset=factories.dataset(shares={person: "view"}), slices=3)
    place = {"study_instance_uid": case.study_uid, "series_instance_uid": case.series_uid}

    (study,) = client.search_for_studies()
    assert study["0020000D"]["Value"] == [case.study_uid]
    assert study["00201208"]["Value"] == [3]
    (series,) = client.search_for_series(case.study_uid)
    assert series["00080060"]["Value"] == ["CT"]
    found = client.search_for_instances(**place)
    stored = list(case.instances.order_by("number"))
    assert [item["00080018"]["Value"][0] for item in found] == [one.sop_instance_uid for one in stored]

    retrieved = client.retrieve_series(**place)
    for dataset, instance in zip(retrieved, stored, strict=True):
        with default_storage.open(instance.file) as file:
            original = pydicom.dcmread(file)
        assert dataset.SOPInstanceUID == instance.sop_instance_uid
        np.testing.assert_array_equal(dataset.pixel_array, original.pixel_array)
        (frame,) = client.retrieve_instance_frames(
            **place, sop_instance_uid=instance.sop_instance_uid, frame_numbers=[1]
        )
        np.testing.assert_array_equal(
            np.frombuffer(frame, "<i2").reshape(original.Rows, original.Columns), original.pixel_array
        )

    metadata = client.retrieve_series_metadata(**place)
    assert [pydicom.Dataset.from_json(item).SOPInstanceUID for item in metadata] == [
        one.sop_instance_uid for one in stored
    ]
    assert all("7FE00010" not in item for item in metadata)
    one = client.retrieve_instance(**place, sop_instance_uid=stored[1].sop_instance_uid)
    assert one.SOPInstanceUID == stored[1].sop_instance_uid
    picture = client.retrieve_instance_rendered(
        **place, sop_instance_uid=stored[1].sop_instance_uid, media_types=("image/png",)
    )
    assert Image.open(io.BytesIO(picture)).size == (case.columns, case.rows)


@pytest.mark.django_db(transaction=True)
def test_dicomweb_client_finds_nothing_of_other_people(dicomweb):
    _, client = dicomweb
    hidden = factories.case()
    assert client.search_for_studies() == []
    with pytest.raises(Exception, match="404"):
        client.retrieve_series(hidden.study_uid, hidden.series_uid)


# --- every transfer syntax


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
    expected = case_pixels(case)
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


def case_pixels(case):
    from webapp.cases.selectors import case_stored_slice

    return case_stored_slice(case, 0)


# --- who may see what


def all_addresses(case):
    study = f"/dicomweb/studies/{case.study_uid}"
    return [
        study,
        f"{study}/metadata",
        f"{study}/thumbnail",
        series_address(case),
        series_address(case, "metadata"),
        series_address(case, "thumbnail"),
        instance_address(case),
        instance_address(case, "metadata"),
        instance_address(case, "frames", "1"),
        instance_address(case, "frames", "1", "rendered"),
        instance_address(case, "frames", "1", "thumbnail"),
        instance_address(case, "rendered"),
        instance_address(case, "thumbnail"),
    ]


def test_a_person_who_may_not_see_a_case_is_told_that_there_is_nothing(shared_case, client_of):
    for role in factories.ROLES:
        stranger = client_of(factories.person(role))
        for address in all_addresses(shared_case):
            response = stranger.get(address)
            assert response.status_code == 404, address
            assert response["Content-Type"] == "application/problem+json"
        for search in ("studies", "series", "instances", f"studies/{shared_case.study_uid}/series"):
            assert stranger.get(f"/dicomweb/{search}").json() == []


def test_an_annotator_sees_no_case_even_of_a_shared_dataset(client_of, storage):
    annotator = factories.person("annotator")
    case = factories.case(dataset=factories.dataset(shares={annotator: "view"}))
    assert client_of(annotator).get(instance_address(case, "frames", "1")).status_code == 404


def test_the_signed_out_are_asked_to_sign_in(shared_case, client):
    for address in [*all_addresses(shared_case), "/dicomweb/studies"]:
        response = client.get(address)
        assert response.status_code == 401, address
        assert response.json()["status"] == 401


def test_a_share_opens_every_address(shared_case, browser):
    for address in all_addresses(shared_case):
        response = browser.get(address)
        assert response.status_code == 200, (address, response.content)
        assert body_of(response)


# --- forms of answers


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


# --- searching


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 1),
        ("?Modality=CT", 1),
        ("?00080060=MR", 0),
        ("?SeriesDescription=*", 1),
        ("?limit=0", 0),
        ("?offset=1", 0),
        ("?limit=1&offset=0&fuzzymatching=true", 1),
        ("?SeriesInstanceUID=1.2.3", 0),
    ],
)
def test_series_are_searched_by_their_attributes(shared_case, browser, query, count):
    response = browser.get(f"/dicomweb/series{query}")
    assert response.status_code == 200
    assert len(response.json()) == count
    assert ("Warning" in response) == ("fuzzy" in query)


def test_a_list_of_uids_matches_any_of_them(shared_case, browser):
    uids = [one.sop_instance_uid for one in shared_case.instances.all()[:2]]
    found = browser.get("/dicomweb/instances", {"SOPInstanceUID": ",".join(uids)}).json()
    assert {item["00080018"]["Value"][0] for item in found} == set(uids)


def test_further_fields_are_named_by_tag_or_keyword(shared_case, browser):
    address = series_address(shared_case, "instances")
    plain = browser.get(address).json()[0]
    assert "00280030" not in plain
    asked = browser.get(address, {"includefield": "PixelSpacing,00180050"}).json()[0]
    assert {"00280030", "00180050"} <= set(asked)
    everything = browser.get(address, {"includefield": "all"}).json()[0]
    assert set(everything) > set(asked)


@pytest.mark.parametrize("query", ["NoSuchAttribute=1", "limit=many", "offset=-1", "includefield=Nonsense"])
def test_a_search_that_makes_no_sense_is_400_and_says_why(shared_case, browser, query):
    response = browser.get(f"/dicomweb/studies?{query}")
    assert response.status_code == 400
    assert response.json()["detail"]


def test_studies_of_several_series_are_counted_whole(reader, browser):
    dataset = factories.dataset(shares={reader: "view"})
    factories.case(dataset=dataset)
    factories.case(dataset=dataset, slices=2)
    assert len(browser.get("/dicomweb/studies").json()) == 2
    assert [len(browser.get(f"/dicomweb/studies?limit=1&offset={n}").json()) for n in range(3)] == [1, 1, 0]


# --- pictures


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
    assert marked[changed[:, 0], changed[:, 1]].max() == 255
    thumbnail = picture(browser, series_address(case, "thumbnail"), {})
    assert (thumbnail == 255).sum() > 100
