"""Only what describes the image stays in a header; pseudonyms are stable under one key."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.datadict import DicomDictionary

from webapp.cases.importing.deidentify import Pseudonyms, age_years, deidentify, forbidden_words

KEY = Pseudonyms("a key")
TEXT_VRS = {"LO", "SH", "LT", "ST", "UT", "UC", "PN", "AE", "UR"}
TEXTS = sorted(
    keyword
    for tag, (vr, _, _, retired, keyword) in DicomDictionary.items()
    if vr in TEXT_VRS and not retired and keyword and tag >> 16 not in (0x0000, 0x0002, 0x5000, 0x6000)
)
DATES = sorted(k for _, (vr, _, _, retired, k) in DicomDictionary.items() if vr in {"DA", "DT", "TM"} and k)


def header(**values: object) -> Dataset:
    """A header with a name, a number and a birth date."""
    made = Dataset()
    made.PatientName, made.PatientID, made.PatientBirthDate = "Mustermann^Erika^Maria", "4711", "19641231"
    made.StudyDate = "20240102"
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def everything(dataset: Dataset) -> str:
    """All values of a header, nested ones too, as one text."""
    return dataset.to_json()


@settings(max_examples=200, deadline=None)
@given(keyword=st.sampled_from(TEXTS))
def test_no_text_element_whatsoever_keeps_a_name_or_number(keyword: str) -> None:
    source = header()
    setattr(source, keyword, "Mustermann 4711")
    kept = everything(deidentify(source, KEY).header)
    assert "Mustermann" not in kept
    assert "4711" not in kept


@settings(max_examples=100, deadline=None)
@given(keyword=st.sampled_from(DATES))
def test_no_date_stays(keyword: str) -> None:
    source = header()
    setattr(source, keyword, "19641231")
    assert "19641231" not in everything(deidentify(source, KEY).header)


def test_nested_sequences_are_cleaned_like_the_top() -> None:
    inner = header(SeriesDescription="for Erika", InstitutionName="St. Elsewhere", SliceThickness=5)
    inner.add_new(0x00091001, "LO", "private Erika")
    source = header(ReferencedImageSequence=[inner], OtherPatientIDsSequence=[header()])
    kept = deidentify(source, KEY).header
    text = everything(kept)
    assert not any(word in text for word in ("Erika", "Elsewhere", "private", "OtherPatientIDs"))
    assert kept.ReferencedImageSequence[0].SliceThickness == 5
    assert "OtherPatientIDsSequence" not in kept


def test_what_describes_the_image_stays() -> None:
    source = header(
        Manufacturer="ACME",
        SeriesDescription="Abdomen portal venous",
        ConvolutionKernel="B30f",
        KVP=120,
        PatientSex="F",
        PatientWeight=61,
        WindowCenter=[40, 300],
        RescaleType="HU",
    )
    kept = deidentify(source, KEY).header
    for keyword in (
        "Manufacturer",
        "SeriesDescription",
        "ConvolutionKernel",
        "KVP",
        "PatientSex",
        "RescaleType",
    ):
        assert kept[keyword].value == source[keyword].value
    assert list(kept.WindowCenter) == [40, 300]


@pytest.mark.parametrize(
    ("values", "age"),
    [
        ({}, 59),
        ({"PatientAge": "061Y"}, 61),
        ({"PatientAge": "006M"}, 0.5),
        ({"PatientBirthDate": "", "PatientAge": ""}, None),
        ({"StudyDate": "19641230"}, None),
        ({"PatientBirthDate": "rubbish"}, None),
    ],
)
def test_the_age_stays_without_the_dates(values: dict, age: float | None) -> None:
    found = age_years(header(**values))
    assert found == pytest.approx(age) if age is not None else found is None


def test_the_very_old_are_ninety() -> None:
    cleaned = deidentify(header(PatientBirthDate="19200101"), KEY)
    assert cleaned.age_years == 90
    assert cleaned.header.PatientAge == "090Y"


def test_pseudonyms_are_stable_and_depend_on_the_key() -> None:
    other = Pseudonyms("another key")
    assert KEY.uid("1.2.3") == Pseudonyms("a key").uid("1.2.3") != other.uid("1.2.3")
    assert KEY.patient("4711", "x") == KEY.patient(" 4711 ", "y") != other.patient("4711", "x")
    assert KEY.patient("", "") == ""
    assert len(KEY.uid("1.2.3")) <= 64
    assert KEY.uid("1.2.840.10008.5.1.4.1.1.2") == "1.2.840.10008.5.1.4.1.1.2"


def test_references_between_files_still_match() -> None:
    image, other = header(SOPInstanceUID="1.2.3"), Dataset()
    other.ReferencedSOPInstanceUID = "1.2.3"
    source = header(ReferencedImageSequence=[other])
    kept = deidentify(source, KEY).header
    assert kept.ReferencedImageSequence[0].ReferencedSOPInstanceUID == KEY.uid(image.SOPInstanceUID)


def test_organs_are_not_mistaken_for_names() -> None:
    words = forbidden_words(header(PatientName="Liver^Phantom"))
    assert words is not None
    assert words.sub("…", "Liver Phantom 4711") == "Liver Phantom …"


def test_control_characters_do_not_reach_the_database() -> None:
    kept = deidentify(header(SeriesDescription="a\0b\x07c"), KEY).header
    assert kept.SeriesDescription == "abc"


def test_what_was_removed_is_said() -> None:
    said = " ".join(deidentify(header(InstitutionName="St. Elsewhere"), KEY).removed)
    assert "birth date" in said
    assert "institution" in said
    assert "Mustermann" not in said
