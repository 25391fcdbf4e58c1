"""Addresses of a case under DICOMweb, and the parts of an answer."""

from email import message_from_bytes

ANY_SYNTAX = "multipart/related; type=application/octet-stream; transfer-syntax=*"


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
