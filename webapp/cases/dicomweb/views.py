"""DICOMweb's addresses (DICOM PS3.18): every answer only from what the person may see."""

from collections.abc import Iterator

from django.db.models import QuerySet
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework.exceptions import ValidationError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from webapp.cases.dicomweb import encoding, rendering, search, selection
from webapp.cases.dicomweb.accept import (
    DICOM,
    DICOM_JSON,
    Form,
    MediaRange,
    frames_form,
    instance_form,
    pick,
    request_ranges,
)
from webapp.cases.dicomweb.frames import check_frame, explicit_little_frame, frame_bytes
from webapp.cases.models import Instance
from webapp.core.negotiation import OwnNegotiation

MOST_FRAMES = 1000
PICTURES = ["image/jpeg", "image/png"]


class DicomwebView(APIView):
    """What all have in common: who asks, in which forms, under which address."""

    content_negotiation_class = OwnNegotiation
    renderer_classes = [JSONRenderer]
    schema = None

    @property
    def ranges(self) -> list[MediaRange]:
        return request_ranges(self.request.headers.get("Accept"), self.request.query_params.getlist("accept"))

    @property
    def root(self) -> str:
        """The address under which DICOMweb answers, without a slash at the end."""
        full = self.request.build_absolute_uri(self.request.path)
        return full.split("/studies")[0].split("/series")[0].split("/instances")[0]

    def require_json(self) -> None:
        pick(self.ranges, [DICOM_JSON, "application/json"], "Metadata")


class SearchView(DicomwebView):
    """QIDO-RS at one level: `find` makes the items from the visible cases."""

    find: search.Search

    def get(self, request: Request, study: str | None = None, series: str | None = None) -> HttpResponseBase:
        """Search."""
        self.require_json()
        query = search.parse_query(request.query_params)
        cases = selection.visible(request.user)
        if study is not None:
            cases = cases.filter(study_uid=study)
        if series is not None:
            cases = cases.filter(series_uid=series)
        items = list(type(self).find(cases, query, self.root))
        response = HttpResponse(b"".join(encoding.json_stream(items)), content_type=DICOM_JSON)
        if query.warnings:
            response.headers["Warning"] = ", ".join(f'299 semblance "{text}"' for text in query.warnings)
        response.headers["Cache-Control"] = "private, no-store"
        return response


class StudySearchView(SearchView):
    """``GET /studies?...``"""

    find = staticmethod(search.search_studies)


class SeriesSearchView(SearchView):
    """``GET /series?...`` and ``GET /studies/{study}/series?...``"""

    find = staticmethod(search.search_series)


class InstanceSearchView(SearchView):
    """``GET /instances?...`` and the same below a study or a series."""

    find = staticmethod(search.search_instances)


class MetadataView(DicomwebView):
    """The attributes of a study, a series or an instance, without pixels, as a stream of DICOM JSON."""

    def get(
        self, request: Request, study: str, series: str | None = None, sop: str | None = None
    ) -> HttpResponseBase:
        """Retrieve metadata."""
        self.require_json()
        found = selection.instances_at(request.user, study=study, series=series, sop=sop)
        known = found.values_list("sop_instance_uid", "pixel_sha256", "updated_at")
        etag = encoding.etag_of("metadata", *known)
        unchanged = encoding.not_modified(request, etag)
        if unchanged is not None:
            return unchanged
        items = found.values_list("metadata", flat=True).iterator(chunk_size=100)
        return encoding.private(encoding.json_response(items), etag)


class RetrieveView(DicomwebView):
    """The instances of a study, a series, or one instance, as DICOM files."""

    def get(
        self, request: Request, study: str, series: str | None = None, sop: str | None = None
    ) -> HttpResponseBase:
        """Retrieve instances."""
        found = selection.instances_at(request.user, study=study, series=series, sop=sop).defer("metadata")
        known = list(found.values_list("sop_instance_uid", "pixel_sha256", "transfer_syntax_uid"))
        forms = {syntax: instance_form(self.ranges, syntax, single=len(known) == 1) for _, _, syntax in known}
        etag = encoding.etag_of("instances", known, forms)
        unchanged = encoding.not_modified(request, etag)
        if unchanged is not None:
            return unchanged
        if len(known) == 1:
            return encoding.private(_one_instance(found.get(), forms[known[0][2]]), etag)
        _check_decoding(found, forms)
        return encoding.private(encoding.multipart_response(_parts(found, forms), DICOM), etag)


def _check_decoding(found: QuerySet[Instance], forms: dict[str, Form]) -> None:
    """Fail before the stream begins, where a form needs a decoder that is missing."""
    for syntax, form in forms.items():
        if form.transcode:
            encoding.explicit_little_file(found.filter(transfer_syntax_uid=syntax)[0])


def _parts(found: QuerySet[Instance], forms: dict[str, Form]) -> Iterator[encoding.Part]:
    for instance in found.iterator(chunk_size=50):
        form = forms[instance.transfer_syntax_uid]
        yield encoding.part_type(form), encoding.instance_chunks(instance, form)


def _one_instance(instance: Instance, form: Form) -> HttpResponseBase:
    chunks = encoding.instance_chunks(instance, form)
    if form.multipart:
        return encoding.multipart_response([(encoding.part_type(form), chunks)], DICOM)
    response = StreamingHttpResponse(chunks, content_type=DICOM)
    response.headers["Content-Disposition"] = f'inline; filename="{instance.sop_instance_uid}.dcm"'
    return response


def frame_numbers(text: str) -> list[int]:
    """The frames of an address, ``1,2,5``.

    Raises:
        ValidationError: when it is no list of whole numbers from 1, or too long a one.
    """
    parts = text.split(",")
    if not all(part.isdecimal() and 0 < int(part) < 10**9 for part in parts):
        raise ValidationError("Frames are whole numbers from 1, with commas between them.")
    if len(parts) > MOST_FRAMES:
        raise ValidationError(f"At most {MOST_FRAMES} frames can be asked for at once.")
    return [int(part) for part in parts]


class FramesView(DicomwebView):
    """Some frames of an instance; only their bytes are read from the stored file."""

    def get(self, request: Request, study: str, series: str, sop: str, frames: str) -> HttpResponseBase:
        """Retrieve frames."""
        numbers = frame_numbers(frames)
        instance = selection.instance_at(request.user, study=study, series=series, sop=sop)
        check_frame(instance, max(numbers))
        form = frames_form(self.ranges, instance.transfer_syntax_uid, count=len(numbers))
        etag = encoding.etag_of("frames", instance.pk, instance.pixel_sha256, numbers, form)
        unchanged = encoding.not_modified(request, etag)
        if unchanged is not None:
            return unchanged
        read = explicit_little_frame if form.transcode else frame_bytes
        response: HttpResponseBase
        if not form.multipart:
            response = HttpResponse(read(instance, numbers[0]), content_type=encoding.part_type(form))
        elif len(numbers) == 1:
            parts = [(encoding.part_type(form), [read(instance, numbers[0])])]
            response = encoding.multipart_body(parts, form.media_type)
        else:
            read(instance, numbers[0])
            later = ((encoding.part_type(form), [read(instance, number)]) for number in numbers)
            response = encoding.multipart_response(later, form.media_type)
        return encoding.private(response, etag, lifetime_s=encoding.FRAME_LIFETIME_S)


class _PictureView(DicomwebView):
    def draw(self, instance: Instance, frame: int, wanted: rendering.Rendering) -> HttpResponseBase:
        """The picture, or 304."""
        media_type = pick(self.ranges, PICTURES, "A rendered frame")
        case = instance.case
        etag = encoding.etag_of(
            "rendered", instance.pk, instance.pixel_sha256, frame, wanted, media_type, case.is_synthetic,
            case.window_center, case.window_width,
        )  # fmt: skip
        unchanged = encoding.not_modified(self.request, etag)
        if unchanged is not None:
            return unchanged
        image = rendering.picture(instance, frame, wanted)
        response = HttpResponse(rendering.encoded(image, media_type, wanted.quality), content_type=media_type)
        return encoding.private(response, etag)


class RenderedView(_PictureView):
    """One frame as JPEG or PNG, windowed and scaled as asked."""

    def get(self, request: Request, study: str, series: str, sop: str, frames: str = "1") -> HttpResponseBase:
        """Retrieve a rendered frame."""
        numbers = frame_numbers(frames)
        if len(numbers) != 1:
            raise ValidationError("One frame at a time can be rendered.")
        instance = selection.instance_at(request.user, study=study, series=series, sop=sop)
        return self.draw(instance, numbers[0], rendering.parse_rendering(request.query_params))


class ThumbnailView(_PictureView):
    """A small picture of a study, series, instance or frame: of its middle image where there are many."""

    def get(
        self,
        request: Request,
        study: str,
        series: str | None = None,
        sop: str | None = None,
        frames: str | None = None,
    ) -> HttpResponseBase:
        """Retrieve a thumbnail."""
        found = selection.instances_at(request.user, study=study, series=series, sop=sop)
        instance = found[found.count() // 2]
        frame = frame_numbers(frames)[0] if frames else max(1, (instance.frame_count + 1) // 2)
        wanted = rendering.parse_rendering(request.query_params)
        side = rendering.THUMBNAIL_SIDE
        small = rendering.Rendering(wanted.window, wanted.exact, wanted.size or (side, side), wanted.quality)
        return self.draw(instance, frame, small)
