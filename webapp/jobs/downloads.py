"""A result as files: the images as DICOM or NIfTI, its mask, and the recipe that made them."""

import gzip
import json
import tempfile
import zipfile
from typing import Any

from django.core.files.storage import default_storage
from django.core.serializers.json import DjangoJSONEncoder
from django.http import FileResponse
from django.utils.translation import gettext as _

from webapp.cases.nifti import case_to_nifti, mask_to_nifti
from webapp.core.errors import ApplicationError
from webapp.core.permissions import require
from webapp.core.services import audit_record
from webapp.jobs.models import Result

FORMS = ("dicom", "nifti")
README = """SYNTHETIC IMAGE - NOT FOR CLINICAL USE

Made by Semblance. recipe.json says with which model, settings and seed, and holds the hash of the pixels.
"""


def result_download(*, user: Any, result: Result, form: str = "dicom") -> FileResponse:
    """A zip of the result: `form` is "dicom" (images and mask as DICOM) or "nifti".

    Raises:
        ApplicationError: for another form.
        Http404: where the person may not see the result.
    """
    require(user, "view", result)
    if form not in FORMS:
        raise ApplicationError(_("Download it as dicom or nifti."), field="form")
    file = tempfile.TemporaryFile()  # noqa: SIM115  the response closes it
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("README.txt", README)
        archive.writestr("recipe.json", json.dumps(_recipe(result), indent=2, cls=DjangoJSONEncoder))
        for name, content in (_as_dicom if form == "dicom" else _as_nifti)(result):
            archive.writestr(name, content)
    file.seek(0)
    audit_record(actor=user, action="result.downloaded", obj=result, detail={"form": form})
    name = f"synthetic-{result.pk}-{form}.zip"
    return FileResponse(file, as_attachment=True, filename=name, content_type="application/zip")


def _as_dicom(result: Result) -> list[tuple[str, bytes]]:
    files = []
    for instance in result.case.instances.order_by("number"):
        with default_storage.open(instance.file, "rb") as stored:
            files.append((f"image/{instance.number:04d}.dcm", stored.read()))
    return files


def _as_nifti(result: Result) -> list[tuple[str, bytes]]:
    files = [("image.nii.gz", gzip.compress(case_to_nifti(result.case), mtime=0))]
    if result.mask is not None:
        files.append(("mask.nii.gz", gzip.compress(mask_to_nifti(result.mask), mtime=0)))
    return files


def _recipe(result: Result) -> dict[str, Any]:
    """Everything that is needed to make it again, and what became of it."""
    return {
        "result": result.pk,
        "recipe": result.recipe,
        "parameters": result.request.parameters,
        "seed": result.seed,
        "pixel_sha256": result.pixel_sha256,
        "quality": result.quality,
        "decision": result.decision,
        "labels": result.mask.labels if result.mask is not None else [],
    }
