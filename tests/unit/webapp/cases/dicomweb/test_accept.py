"""Accept headers as real clients send them, against every kind of stored transfer syntax."""

import pytest
from rest_framework.exceptions import NotAcceptable

from webapp.cases.dicomweb.accept import (
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    Form,
    frames_form,
    instance_form,
    parse_accept,
    pick,
    request_ranges,
)

J2K = "1.2.840.10008.1.2.4.90"
JPEG = "1.2.840.10008.1.2.4.50"
BIG = "1.2.840.10008.1.2.2"
OCTETS = "application/octet-stream"

CORNERSTONE = "multipart/related; type=application/octet-stream; transfer-syntax=*"
QUOTED = 'multipart/related; type="application/octet-stream"; transfer-syntax="*"'


def form(header, stored, count=1):
    return frames_form(request_ranges(header), stored, count=count)


@pytest.mark.parametrize(
    ("header", "stored", "expected"),
    [
        (CORNERSTONE, EXPLICIT_LITTLE, Form(True, OCTETS, EXPLICIT_LITTLE, False)),
        (CORNERSTONE, J2K, Form(True, OCTETS, J2K, False)),
        (CORNERSTONE, BIG, Form(True, OCTETS, BIG, False)),
        (QUOTED, J2K, Form(True, OCTETS, J2K, False)),
        (
            'multipart/related; type="application/octet-stream"',
            J2K,
            Form(True, OCTETS, EXPLICIT_LITTLE, True),
        ),
        (
            'multipart/related; type="application/octet-stream"',
            BIG,
            Form(True, OCTETS, EXPLICIT_LITTLE, True),
        ),
        (
            'multipart/related; type="application/octet-stream"',
            IMPLICIT_LITTLE,
            Form(True, OCTETS, EXPLICIT_LITTLE, False),
        ),
        (
            f'multipart/related; type="application/octet-stream"; transfer-syntax={IMPLICIT_LITTLE}',
            EXPLICIT_LITTLE,
            Form(True, OCTETS, IMPLICIT_LITTLE, False),
        ),
        ('multipart/related; type="image/jp2"', J2K, Form(True, "image/jp2", J2K, False)),
        (
            f'multipart/related; type="image/jp2"; transfer-syntax={J2K}',
            J2K,
            Form(True, "image/jp2", J2K, False),
        ),
        ('multipart/related; type="image/*"', JPEG, Form(True, "image/jpeg", JPEG, False)),
        ("multipart/related", J2K, Form(True, OCTETS, EXPLICIT_LITTLE, True)),
        ("multipart/*", J2K, Form(True, OCTETS, EXPLICIT_LITTLE, True)),
        ("*/*", EXPLICIT_LITTLE, Form(True, OCTETS, EXPLICIT_LITTLE, False)),
        ("", EXPLICIT_LITTLE, Form(True, OCTETS, EXPLICIT_LITTLE, False)),
        ("application/octet-stream", EXPLICIT_LITTLE, Form(False, OCTETS, EXPLICIT_LITTLE, False)),
        ("application/octet-stream; transfer-syntax=*", J2K, Form(False, OCTETS, J2K, False)),
        ("image/jpeg", JPEG, Form(False, "image/jpeg", JPEG, False)),
        # The first that can be made wins, by quality and then by the client's order.
        (
            f'multipart/related; type="image/jls", {CORNERSTONE}; q=0.5',
            J2K,
            Form(True, OCTETS, J2K, False),
        ),
        (
            'application/octet-stream;q=0.1, multipart/related;type="application/octet-stream"',
            EXPLICIT_LITTLE,
            Form(True, OCTETS, EXPLICIT_LITTLE, False),
        ),
    ],
)
def test_frames_take_the_form_that_the_client_asks_for(header, stored, expected):
    assert form(header, stored) == expected


@pytest.mark.parametrize(
    ("header", "stored", "count"),
    [
        ('multipart/related; type="image/jp2"', EXPLICIT_LITTLE, 1),
        ('multipart/related; type="image/jpeg"', J2K, 1),
        (f'multipart/related; type="application/octet-stream"; transfer-syntax={J2K}', EXPLICIT_LITTLE, 1),
        (f'multipart/related; type="image/jp2"; transfer-syntax={JPEG}', J2K, 1),
        ('multipart/related; type="application/dicom"', EXPLICIT_LITTLE, 1),
        ("text/html", EXPLICIT_LITTLE, 1),
        ("application/octet-stream", EXPLICIT_LITTLE, 2),
        (f"{CORNERSTONE}; q=0", EXPLICIT_LITTLE, 1),
    ],
)
def test_impossible_forms_of_frames_are_refused(header, stored, count):
    with pytest.raises(NotAcceptable):
        form(header, stored, count)


@pytest.mark.parametrize(
    ("header", "stored", "single", "expected"),
    [
        ('multipart/related; type="application/dicom"; transfer-syntax=*', J2K, False, (True, J2K, False)),
        ("multipart/related; type=application/dicom; transfer-syntax=*", J2K, True, (True, J2K, False)),
        ('multipart/related; type="application/dicom"', J2K, True, (True, EXPLICIT_LITTLE, True)),
        (
            'multipart/related; type="application/dicom"',
            EXPLICIT_LITTLE,
            True,
            (True, EXPLICIT_LITTLE, False),
        ),
        ("application/dicom", IMPLICIT_LITTLE, True, (False, EXPLICIT_LITTLE, True)),
        ("application/dicom; transfer-syntax=*", IMPLICIT_LITTLE, True, (False, IMPLICIT_LITTLE, False)),
        ("*/*", EXPLICIT_LITTLE, False, (True, EXPLICIT_LITTLE, False)),
    ],
)
def test_instances_take_the_form_that_the_client_asks_for(header, stored, single, expected):
    chosen = instance_form(request_ranges(header), stored, single=single)
    assert (chosen.multipart, chosen.transfer_syntax, chosen.transcode) == expected


@pytest.mark.parametrize(
    ("header", "single"),
    [
        ("application/dicom", False),
        ("application/pdf", True),
        (f'multipart/related; type="application/dicom"; transfer-syntax={J2K}', True),
    ],
)
def test_impossible_forms_of_instances_are_refused(header, single):
    with pytest.raises(NotAcceptable):
        instance_form(request_ranges(header), EXPLICIT_LITTLE, single=single)


def test_a_query_parameter_goes_before_the_header():
    ranges = request_ranges("text/html", ["image/png"])
    assert pick(ranges, ["image/jpeg", "image/png"], "A picture") == "image/png"


def test_commas_and_semicolons_inside_quotes_do_not_separate():
    (one,) = parse_accept('multipart/related; type="a/b; c, d"; q=0.25')
    assert one.parameters == {"type": "a/b; c, d"}
    assert one.quality == 0.25
