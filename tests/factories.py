"""Real objects for tests, made through the product's own services: people, datasets, cases, masks, models."""

import copy
import hashlib
import itertools
from io import BytesIO
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

PASSWORD = "correct horse battery"
_numbers = itertools.count(1)

ROLES = ("clinician", "annotator", "study_lead", "data_manager", "researcher", "administrator")


def person(*roles: str, username: str | None = None, **fields: Any) -> Any:
    """Someone who holds the roles and whose password is `PASSWORD`."""
    from webapp.accounts.models import RoleGrant, User

    user = User.objects.create_user(
        username=username or f"{roles[0] if roles else 'nobody'}-{next(_numbers)}",
        password=PASSWORD,
        **fields,
    )
    RoleGrant.objects.bulk_create(RoleGrant(user=user, role=role) for role in roles)
    return user


def dataset(owner: Any = None, *, name: str | None = None, shares: dict[Any, str] | None = None) -> Any:
    """A data manager's dataset (a new one's by default), shared as {person: level}."""
    from webapp.cases.models import DatasetShare
    from webapp.cases.services import dataset_create

    made = dataset_create(
        user=owner or person("data_manager"), name=name or f"Dataset {next(_numbers)}", licence="CC0"
    )
    DatasetShare.objects.bulk_create(
        DatasetShare(dataset=made, user=user, level=level) for user, level in (shares or {}).items()
    )
    return made


def ct_files(slices: int = 1, *, seed: int = 0) -> list[bytes]:
    """A CT series as DICOM files: pydicom's CT_small, each slice with pixels and place of its own."""
    source = dcmread(get_testdata_file("CT_small.dcm"))
    study, series, frame = (generate_uid(entropy_srcs=[str(seed), part]) for part in "abc")
    files = []
    for number in range(slices):
        image = copy.deepcopy(source)
        image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = study, series, frame
        image.SOPInstanceUID = generate_uid(entropy_srcs=[str(seed), str(number)])
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        image.InstanceNumber = number + 1
        x, y, z = (float(value) for value in source.ImagePositionPatient)
        image.ImagePositionPatient = [x, y, z + 5.0 * number]
        image.PixelData = (source.pixel_array + np.int16(number + seed)).astype("<i2").tobytes()
        buffer = BytesIO()
        image.save_as(buffer, enforce_file_format=True)
        files.append(buffer.getvalue())
    return files


def case(*, dataset: Any = None, owner: Any = None, slices: int = 1, **fields: Any) -> Any:
    """A CT case in a dataset, or of one person where an owner is given."""
    from webapp.cases.services import case_create_from_dicom

    if dataset is None and owner is None:
        dataset = globals()["dataset"]()
    number = next(_numbers)
    place = {"dataset": dataset} if dataset is not None else {"owner": owner}
    values = {"name": f"Case {number}", "attributes": {}, "is_synthetic": False} | fields
    return case_create_from_dicom(files=ct_files(slices, seed=number), **place, **values)


def mask(case: Any, user: Any, *, name: str = "Liver", value: int = 6) -> Any:
    """A painted mask: one rectangle of one label on every slice."""
    from webapp.cases.services import mask_save

    array = np.zeros((case.slice_count, case.rows, case.columns), np.uint16)
    array[:, case.rows // 4 : case.rows // 2, case.columns // 4 : case.columns // 2] = value
    labels = [{"value": value, "name": name.lower(), "color": "#b5651d"}]
    return mask_save(user=user, case=case, name=name, array=array, labels=labels, origin="painted")


def generative_model(*, name: str | None = None, version: str = "1", **fields: Any) -> Any:
    """A model's record without weights behind it, for what never runs it."""
    from synthesis.phantoms.labels import LABEL_SET
    from webapp.registry.models import GenerativeModel

    label_set = [{"value": label.value, "name": label.name, "color": label.color} for label in LABEL_SET]
    field = {"spacing_mm": [2.0, 4.0], "fov_mm": [250.0, 500.0]}
    name = name or f"model-{next(_numbers)}"
    digest = hashlib.sha256(f"{name} {version}".encode()).hexdigest()
    values: dict[str, Any] = {
        "title": name.title(),
        "method": "rectified flow",
        "backbone": "unet",
        "summary": "For tests.",
        "licence": "Apache-2.0",
        "weights_sha256": digest,
        "weights_path": f"models/{digest}/model.safetensors",
        "card": "# For tests",
        "label_set": label_set,
        "field": {"rows": 128, "columns": 128, **field},
        "recipe": {
            "name": name,
            "version": version,
            "modalities": ["CT", "T1", "T2"],
            "image": {"rows": 128, "columns": 128},
            "label_set": label_set,
            "field": field,
        },
    }
    return GenerativeModel.objects.create(name=name, version=version, **(values | fields))


def adapter(*, base: Any = None, name: str | None = None, version: str = "1", **fields: Any) -> Any:
    """An adapter's record without weights behind it, of a model of its own where none is given."""
    from webapp.registry.models import Adapter

    base = base or generative_model()
    name = name or f"adapter-{next(_numbers)}"
    digest = hashlib.sha256(f"{name} {version}".encode()).hexdigest()
    values: dict[str, Any] = {
        "title": name.title(),
        "method": "LoRA",
        "summary": "For tests.",
        "licence": "CC0-1.0",
        "rank": 4,
        "alpha": 4.0,
        "layers": ["blocks.0.qkv"],
        "weights_sha256": digest,
        "weights_path": f"adapters/{digest}/{base.weights_sha256}/adapter_model.safetensors",
        "card": "# For tests",
        "recipe": {"name": name, "version": version},
    }
    return Adapter.objects.create(base=base, name=name, version=version, **(values | fields))


def synthesis_request(user: Any, *, model: Any = None, **fields: Any) -> Any:
    """A request for one CT of a phantom's anatomy, handed in with its job."""
    from webapp.jobs.services import request_submit

    parameters = {"phantom_seed": 1, "condition": {"modality": "CT", "severity": "severe"}}
    values = {"model": model or generative_model(), "parameters": parameters, "seed": 7} | fields
    return request_submit(user=user, **values)


def severity_grid(user: Any, **fields: Any) -> Any:
    """A grid of severities of a phantom's anatomy, handed in with its four jobs."""
    from webapp.jobs.services import grid_submit

    parameters = {"phantom_seed": 1, "condition": {"modality": "CT", "severity": "mild"}}
    values = {"model": fields.pop("model", None) or generative_model(), "parameters": parameters, "seed": 7}
    return grid_submit(user=user, **(values | fields))


def uncertainty(result: Any, *, top: float = 40.0) -> Any:
    """An uncertainty map that rises from 0 at the left edge to `top` at the right."""
    from synthesis.imaging.uncertainty import UncertaintyMap, packed
    from webapp.jobs.models import Uncertainty

    rows, columns = result.case.rows, result.case.columns
    std = np.tile(np.linspace(0, top, columns, dtype=np.float32), (rows, 1))
    made = UncertaintyMap(std=std, t=0.7, probes=32, probe_error=0.1, below_zero=0.01)
    values, scale = packed(std)
    return Uncertainty.objects.create(
        result=result, values=values, scale=scale, rows=rows, columns=columns, about=made.about()
    )


def result(user: Any, **fields: Any) -> Any:
    """A result of that person: the record of what a worker made, with a real case and mask behind it."""
    from webapp.jobs.models import Result

    request = fields.pop("request", None) or synthesis_request(user)
    made = case(owner=user, is_synthetic=True)
    values: dict[str, Any] = {"index": 0, "seed": request.seed, "recipe": {"seed": request.seed}}
    return Result.objects.create(
        request=request,
        job=request.jobs.get(),
        case=made,
        mask=mask(made, user),
        pixel_sha256=hashlib.sha256(made.content_sha256.encode()).hexdigest(),
        **(values | fields),
    )
