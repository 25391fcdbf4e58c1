"""NIfTI volumes and pictures of an import as cases, and the masks that belong to them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from synthesis.imaging import nifti, raster
from synthesis.imaging.dicom_file import opened_file
from synthesis.imaging.dicom_stack import Encoding, StackIdentity, encoding_of, write_stack
from synthesis.imaging.errors import UnreadableFile
from synthesis.imaging.geometry import Geometry, flat_geometry
from synthesis.imaging.volume import window_of
from webapp.cases.importing import sniff
from webapp.cases.importing.build import CaseFacts, case_create
from webapp.cases.importing.deidentify import Pseudonyms
from webapp.cases.importing.incoming import clean_instance
from webapp.cases.importing.pairing import modality_of, title_of
from webapp.cases.importing.report import Report
from webapp.cases.importing.sources import Source
from webapp.cases.importing.store import StoredInstance
from webapp.cases.importing.tables import Row, Tables
from webapp.cases.models import Case, ImportRun, Outcome, SourceFormat

_CT_AIR = -500
"""A volume of whole numbers that reaches below this holds Hounsfield units, whatever its name."""


class VolumeImport:
    """Brings one NIfTI volume or picture in at a time."""

    def __init__(self, run: ImportRun, report: Report, scratch: Path, tables: Tables) -> None:
        """`scratch` is used for one volume at a time."""
        self.run, self.report, self.scratch, self.tables = run, report, scratch, tables
        self.pseudonyms = Pseudonyms(run.dataset.pseudonym_key)

    def take(self, source: Source) -> None:
        """Store one volume or picture as a case.

        Raises:
            UnreadableFile: when it cannot be read.
        """
        folder = self.scratch / hashlib.sha256(source.shown.encode("utf-8", "replace")).hexdigest()[:24]
        folder.mkdir()
        if source.kind == sniff.NIFTI:
            with nifti.opened_nifti(source.path) as file:
                self._take_nifti(source, file, folder)
        else:
            self._take_picture(source, raster.read_raster(source.path), folder)

    def _take_nifti(self, source: Source, file: nifti.NiftiFile, folder: Path) -> None:
        row = self.tables.rows.get(source.shown, Row())
        modality, told = self._modality(source, row, file)
        gzipped = source.path.open("rb").read(2) == b"\x1f\x8b"
        original = folder / ("original.nii.gz" if gzipped else "original.nii")
        encoding = encoding_of(file.voxels, file.slope, file.intercept)
        changes = (
            [f"removed: {', '.join(gone)}"] if (gone := nifti.anonymous_copy(source.path, original)) else []
        )
        if not encoding.is_exact:
            changes.append(
                "shown in 16 bits, scaled over its range of values; the original numbers are kept beside it"
            )
        notes = [] if told else ["its modality is not told by the file or its name, so it is stored as OT"]
        self._store(
            source,
            folder,
            voxels=file.voxels,
            meaning=(file.slope, file.intercept),
            geometry=file.geometry,
            encoding=encoding,
            modality=modality,
            row=row,
            source_format=SourceFormat.NIFTI,
            original=original,
            changes=changes,
            notes=notes,
            extra={"nifti": {"axes": list(file.layout.axes), "flips": list(file.layout.flips)}},
        )

    def _take_picture(self, source: Source, picture: raster.RasterImage, folder: Path) -> None:
        row = self.tables.rows.get(source.shown, Row())
        modality = row.modality or self._named_modality(source) or "OT"
        original = folder / ("original.png" if source.kind == sniff.PNG else "original.jpg")
        changes = [*raster.anonymous_copy(source.path, original), *picture.notes]
        voxels: npt.NDArray[Any] = picture.pixels[np.newaxis]
        rows, columns = picture.pixels.shape[:2]
        kind = "<u2" if picture.pixels.dtype == np.uint16 else "<i2"
        self._store(
            source,
            folder,
            voxels=voxels,
            meaning=(1.0, 0.0),
            geometry=flat_geometry((1, rows, columns), row.spacing_mm or (1.0, 1.0)),
            encoding=Encoding(dtype=kind, slope=1.0, intercept=0.0, is_exact=True),
            modality=modality,
            row=row,
            source_format=SourceFormat.RASTER,
            original=original,
            changes=changes,
            notes=[],
            extra={},
        )

    def _modality(self, source: Source, row: Row, file: nifti.NiftiFile) -> tuple[str, bool]:
        named = row.modality or self.tables.modality_for(source.shown) or self._named_modality(source)
        if named:
            return named, True
        lowest = min(float(np.nanmin(plane)) for plane in file.voxels) * file.slope + file.intercept
        return ("CT", True) if lowest <= _CT_AIR else ("OT", False)

    def _named_modality(self, source: Source) -> str:
        path = PurePosixPath(source.shown)
        return modality_of(path.name, *reversed(path.parent.parts), self.run.source_name)

    def _store(
        self,
        source: Source,
        folder: Path,
        *,
        voxels: npt.NDArray[Any],
        meaning: tuple[float, float],
        geometry: Geometry,
        encoding: Encoding,
        modality: str,
        row: Row,
        source_format: str,
        original: Path,
        changes: Sequence[str],
        notes: Sequence[str],
        extra: dict[str, Any],
    ) -> None:
        digest = voxel_sha256(voxels, geometry, meaning)
        series_uid = self.pseudonyms.uid("voxels:" + digest, "series")
        known = Case.objects.filter(dataset=self.run.dataset, series_uid=series_uid).first()
        if known is not None:
            reason = f"The same image, voxel for voxel, is here already ({known.name})."
            self.report.add(source.shown, Outcome.DUPLICATE, reason, known)
            return
        title = title_of(source.shown, self.run.source_name)
        stored = self._written(
            folder,
            voxels=voxels,
            meaning=meaning,
            geometry=geometry,
            encoding=encoding,
            identity=self._identity(digest, len(voxels), row.patient, modality, title),
            spacing_known=geometry.is_known or row.spacing_mm is not None,
        )
        facts = CaseFacts(
            name=title,
            source_format=source_format,
            patient=row.patient,
            attributes=row.attributes,
            original=original,
            original_name=original.name,
            geometry_extra=extra,
        )
        text = "; ".join([*changes, *notes])
        entry = (
            source.shown,
            Outcome.CHANGED if changes else Outcome.TAKEN,
            (text[:1].upper() + text[1:] + ".") if text else "",
        )
        try:
            case_create(
                facts=facts,
                stored=stored,
                dataset=self.run.dataset,
                on_open=self._open,
                within=lambda case: self._close(case, entry),
            )
        except BaseException:
            self.report.forget([source.shown])
            raise

    def _identity(self, digest: str, slices: int, patient: str, modality: str, title: str) -> StackIdentity:
        """UIDs that the voxels and the dataset's key decide, so that a second import is recognised."""

        def uid(part: str) -> str:
            return self.pseudonyms.uid("voxels:" + digest, part)

        return StackIdentity(
            study_uid=uid("study"),
            series_uid=uid("series"),
            frame_of_reference_uid=uid("frame"),
            sop_uids=tuple(uid(f"slice {k}") for k in range(slices)),
            patient=patient,
            modality=modality,
            description=title,
        )

    def _written(
        self,
        folder: Path,
        *,
        voxels: npt.NDArray[Any],
        meaning: tuple[float, float],
        geometry: Geometry,
        encoding: Encoding,
        identity: StackIdentity,
        spacing_known: bool,
    ) -> list[StoredInstance]:
        """The DICOM files for the viewer, one slice at a time."""
        stored: list[StoredInstance] = []
        out = folder / "out"
        out.mkdir()
        for path in write_stack(
            folder,
            voxels,
            geometry=geometry,
            identity=identity,
            encoding=encoding,
            slope=meaning[0],
            intercept=meaning[1],
            spacing_known=spacing_known,
            window=_window(voxels, meaning, identity.modality),
        ):
            with opened_file(path) as parsed:
                stored.append(clean_instance(parsed, out / path.name, None)[0])
            path.unlink()
        return stored

    def _open(self, case_id: object) -> None:
        ImportRun.objects.filter(pk=self.run.pk).update(open_case_id=case_id)

    def _close(self, case: Case, entry: tuple[str, str, str]) -> None:
        self.report.confirm()
        self.report.add_all([entry], case)
        ImportRun.objects.filter(pk=self.run.pk).update(open_case_id=None)


def voxel_sha256(voxels: npt.NDArray[Any], geometry: Geometry, meaning: tuple[float, float]) -> str:
    """The identity of a volume: its voxels, their type, place and meaning."""
    described = (voxels.shape, voxels.dtype.str, np.round(geometry.affine, 4).tolist(), meaning)
    digest = hashlib.sha256(repr(described).encode())
    for plane in voxels:
        digest.update(np.ascontiguousarray(plane).tobytes())
    return digest.hexdigest()


def _window(
    voxels: npt.NDArray[Any], meaning: tuple[float, float], modality: str
) -> tuple[float, float] | None:
    """A display window from the middle slice; soft tissue for CT; none for colours and 8 bits."""
    if modality == "CT":
        return 40.0, 400.0
    if voxels.ndim == 4 or voxels.dtype == np.uint8:
        return None if voxels.ndim == 4 else (127.5, 255.0)
    middle = voxels[len(voxels) // 2].astype(np.float64) * meaning[0] + meaning[1]
    return window_of(middle)


def mask_values(source: Source, case: Case, geometry: Geometry) -> tuple[npt.NDArray[np.uint16], list[Any]]:
    """A mask file's values laid out like its case, [slices, rows, columns], and the names it brings.

    Raises:
        UnreadableFile: when it is no mask, or lies on another grid than the case.
    """
    if source.kind == sniff.NIFTI:
        with nifti.opened_nifti(source.path) as file:
            voxels = nifti.aligned(file, geometry)
            if voxels is None:
                raise UnreadableFile(
                    f"The label map lies on another grid than {case.name}: "
                    f"{' x '.join(map(str, file.geometry.shape))} voxels against "
                    f"{' x '.join(map(str, geometry.shape))}. Resample it onto the image first."
                )
            return _whole(voxels, file), list(file.label_names)
    picture = raster.read_raster(source.path)
    if picture.is_colour:
        raise UnreadableFile("The mask is in colours; a mask has one number per pixel.")
    if picture.pixels.shape != (case.rows, case.columns) or case.slice_count != 1:
        raise UnreadableFile(
            f"The mask has {picture.pixels.shape[0]} x {picture.pixels.shape[1]} pixels, "
            f"its image {case.rows} x {case.columns}."
        )
    values = picture.pixels.astype(np.uint16)
    present = np.unique(values)
    if len(present) > 64:
        raise UnreadableFile(f"The mask has {len(present)} different values: it looks like a picture.")
    if set(present.tolist()) <= {0, int(present.max())} and int(present.max()) in (255, 65_535):
        values = (values > 0).astype(np.uint16)
    return values[np.newaxis], []


def _whole(voxels: npt.NDArray[Any], file: nifti.NiftiFile) -> npt.NDArray[np.uint16]:
    result = np.empty(voxels.shape, np.uint16)
    for index, plane in enumerate(voxels):
        real = plane if file.is_whole else plane.astype(np.float64) * file.slope + file.intercept
        if plane.size and (
            not np.all(np.isfinite(real))
            or real.min() < 0
            or real.max() > 65_535
            or np.any(real != np.rint(real))
        ):
            raise UnreadableFile(
                "This is named like a label map, but its voxels are not whole numbers from 0."
            )
        result[index] = real
    return result
