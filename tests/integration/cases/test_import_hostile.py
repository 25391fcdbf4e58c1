"""A bad file costs only itself; a killed import leaves nothing half done; archives stay in their bounds."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from tests import factories, hostile
from tests.integration.cases.conftest import outcomes, reason
from webapp.cases.importing import sources
from webapp.cases.models import Case, ImportRun
from webapp.cases.services import case_delete, dataset_delete, import_execute, import_start, import_stop
from webapp.core.errors import ApplicationError, Conflict

pytestmark = pytest.mark.django_db


def files_below(folder: Path) -> list[str]:
    """Every file's path below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_bad_files_cost_only_themselves(tmp_path, dataset, bring) -> None:
    folder = tmp_path / "in"
    hostile.series(folder / "good", 3)
    hostile.nested(folder / "deep.dcm", 3000, defined=False)
    hostile.nested(folder / "deep2.dcm", 3000, defined=True)
    hostile.truncated(folder / "cut.dcm")
    hostile.absurd(folder / "absurd.dcm")
    hostile.ct(folder / "nan.dcm", PixelSpacing=["nan", "1"])
    (folder / "empty.dcm").touch()
    (folder / "text.dcm").write_text("this is no image")
    (folder / "cut.nii.gz").write_bytes(b"\x1f\x8b\x08\0broken")
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 40)
    (folder / "table.csv").write_text("a,b\n1,2\n")
    (folder / "list.json").write_text("[" * 100_000)
    (folder / os.fsdecode(b"caf\xe9.dcm")).write_bytes(hostile.ct(tmp_path / "x.dcm").read_bytes())
    hostile.huge_private(folder / "blob.dcm", 4 << 20)
    os.symlink("/etc/passwd", folder / "link.dcm")
    os.symlink("/etc", folder / "linked-folder")
    os.mkfifo(folder / "pipe.dcm")
    run = bring(folder)
    found = outcomes(run)
    assert run.state == "finished"
    refused = {path for path, outcome in found.items() if outcome == "refused"}
    assert refused == {
        *("deep.dcm", "deep2.dcm", "cut.dcm", "absurd.dcm", "nan.dcm", "empty.dcm", "text.dcm"),
        *("cut.nii.gz", "picture.png", "table.csv", "list.json", "link.dcm", "linked-folder", "pipe.dcm"),
    }
    assert all(reason(run, path).endswith(".") for path in refused)
    assert len(found) - len(refused) == 5
    assert sorted(dataset.cases.values_list("slice_count", flat=True)) == [1, 1, 3]


def test_an_archive_stays_within_its_bounds(tmp_path, dataset, bring, monkeypatch) -> None:
    good = [path.read_bytes() for path in hostile.series(tmp_path / "s", 2)]
    small = sources.DEFAULT.__class__(archive_ratio_from=1 << 20, archive_ratio=100)
    monkeypatch.setattr("webapp.cases.importing.sources.gather.__kwdefaults__", {"limits": small})
    bundle = hostile.zip_of(
        {
            "ct/1.dcm": good[0],
            "ct/2.dcm": good[1],
            "../../outside.dcm": good[0],
            "/absolute.dcm": good[0],
            "C:\\windows.dcm": good[0],
            "bomb.dcm": bytes(8 << 20),
            "inner.zip": hostile.zip_of({"x": b"x"}),
            "__MACOSX/._1.dcm": b"rubbish",
        }
    )
    run = bring([("scan.zip", io.BytesIO(bundle))])
    found = outcomes(run)
    assert found["scan.zip/ct/1.dcm"] == found["scan.zip/ct/2.dcm"] == "changed"
    assert sum(outcome == "refused" for outcome in found.values()) == 6
    assert "bomb" in reason(run, "scan.zip/bomb.dcm")
    assert "archive inside" in reason(run, "scan.zip/inner.zip")
    assert "leads out" in reason(run, "scan.zip/outside.dcm")
    assert dataset.cases.get().slice_count == 2


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"PK\x03\x04 and nothing more", "damaged"),
        (hostile.zip_of({}), "empty"),
    ],
)
def test_a_broken_archive_is_refused_whole(dataset, bring, data: bytes, words: str) -> None:
    run = bring([("scan.zip", io.BytesIO(data))])
    assert words in reason(run, "scan.zip")


def test_an_encrypted_archive_says_so(tmp_path, dataset, bring) -> None:
    data = hostile.zip_of({"one.dcm": hostile.ct(tmp_path / "one.dcm").read_bytes()}, flags=1)
    run = bring([("scan.zip", io.BytesIO(data))])
    assert "password" in reason(run, "scan.zip/one.dcm")


def test_too_many_members_refuse_the_archive(dataset, bring, monkeypatch) -> None:
    few = sources.DEFAULT.__class__(archive_members=3)
    monkeypatch.setattr("webapp.cases.importing.sources.gather.__kwdefaults__", {"limits": few})
    run = bring([("many.zip", io.BytesIO(hostile.zip_of({f"{n}.dcm": b"x" for n in range(4)})))])
    assert "4 files" in reason(run, "many.zip")


def test_uploads_are_stored_under_numbers_and_removed_at_the_end(tmp_path, dataset, storage) -> None:
    data = hostile.ct(tmp_path / "x.dcm").read_bytes()
    files = [
        (name, SimpleUploadedFile("x", data)) for name in ("../../etc/evil.dcm", "a/one.dcm", "a/one.dcm")
    ]
    run = import_start(
        user=dataset.owner, dataset=dataset, files=files, source_name="upload", in_background=False
    )
    staged = files_below(storage)
    assert staged == [f"imports/{run.pk}/{name}" for name in ("000001", "000002", "000003", "listing.json")]
    run = import_execute(run_id=run.pk)
    assert set(outcomes(run)) == {"etc/evil.dcm", "a/one.dcm", "a/one.dcm (2)"}
    assert sorted(outcomes(run).values()) == ["changed", "duplicate", "duplicate"]
    assert not (storage / "imports" / str(run.pk)).exists()


def test_nothing_to_import_is_said_and_leaves_nothing(dataset, storage) -> None:
    with pytest.raises(ApplicationError, match="at least one file"):
        import_start(user=dataset.owner, dataset=dataset, files=[], source_name="x", in_background=False)
    assert files_below(storage) == []
    assert not ImportRun.objects.exists()


class Killed(BaseException):
    """The worker dies."""


def test_a_killed_import_leaves_nothing_half_done_and_is_taken_up_again(
    tmp_path, dataset, storage, monkeypatch
) -> None:
    hostile.series(tmp_path / "in" / "a", 2)
    hostile.series(tmp_path / "in" / "b", 3)
    run = import_start(
        user=dataset.owner, dataset=dataset, path=tmp_path / "in", source_name="in", in_background=False
    )
    from webapp.cases.importing import build

    moved = []
    really = build.keep_file

    def dies(path: Path, name: str) -> str:
        if len(moved) == 4:
            raise Killed
        moved.append(name)
        return really(path, name)

    monkeypatch.setattr(build, "keep_file", dies)
    monkeypatch.setattr(build, "remove_folder", lambda prefix: None)
    with pytest.raises(Killed):
        import_execute(run_id=run.pk)
    monkeypatch.undo()
    run.refresh_from_db()
    assert run.state == "running"
    assert run.open_case_id is not None
    assert Case.objects.count() == 1
    left = files_below(storage)
    assert any(str(run.open_case_id) in name for name in left)

    run = import_execute(run_id=run.pk)
    assert run.state == "finished"
    assert run.open_case_id is None
    assert sorted(dataset.cases.values_list("slice_count", flat=True)) == [2, 3]
    assert (run.changed, run.duplicate, run.refused) == (5, 0, 0)
    known = {f for case in Case.objects.all() for f in case.instances.values_list("file", flat=True)}
    assert set(files_below(storage)) == known


def test_a_stopped_import_keeps_what_was_taken_and_says_so(tmp_path, dataset, storage) -> None:
    hostile.series(tmp_path / "a", 2)
    data = [
        (f"{n}.dcm", SimpleUploadedFile("x", p.read_bytes()))
        for n, p in enumerate((tmp_path / "a").iterdir())
    ]
    run = import_start(user=dataset.owner, dataset=dataset, files=data, source_name="x", in_background=False)

    class Cancelled(Exception):
        """What a job raises."""

    def stop(done: int, total: int, message: str) -> None:
        if done > 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        import_execute(run_id=run.pk, on_step=stop)
    with pytest.raises(Conflict):
        dataset_delete(user=dataset.owner, dataset=dataset)
    import_stop(run_id=run.pk, message="The import was stopped.")
    run.refresh_from_db()
    assert (run.state, run.message) == ("failed", "The import was stopped.")
    assert files_below(storage) == []
    with pytest.raises(ApplicationError, match="once more"):
        import_execute(run_id=run.pk)


def test_a_finished_import_told_twice_does_nothing(tmp_path, dataset, bring) -> None:
    hostile.series(tmp_path / "in", 2)
    run = bring(tmp_path / "in")
    again = import_execute(run_id=run.pk)
    assert (again.changed, again.duplicate) == (2, 0)


def test_a_mistake_in_one_series_leaves_the_others(tmp_path, dataset, bring, monkeypatch) -> None:
    hostile.series(tmp_path / "in" / "a", 2)
    hostile.series(tmp_path / "in" / "b", 3)
    from webapp.cases.importing import images

    really = images.case_create

    def sometimes(**details):
        if len(details["stored"]) == 2:
            raise ZeroDivisionError
        return really(**details)

    monkeypatch.setattr(images, "case_create", sometimes)
    run = bring(tmp_path / "in")
    assert (run.refused, run.changed) == (2, 3)


def test_deleting_a_dataset_or_case_removes_its_files(
    tmp_path, dataset, bring, storage, django_capture_on_commit_callbacks
) -> None:
    hostile.series(tmp_path / "in", 2)
    hostile.ct(tmp_path / "in" / "other.dcm")
    bring(tmp_path / "in")
    case = dataset.cases.get(slice_count=2)
    factories.mask(case, dataset.owner)
    with django_capture_on_commit_callbacks(execute=True):
        case_delete(user=dataset.owner, case=case)
    assert len(files_below(storage)) == 1
    with django_capture_on_commit_callbacks(execute=True):
        dataset_delete(user=dataset.owner, dataset=dataset)
    assert files_below(storage) == []
    assert not Case.objects.exists()


def test_a_volume_larger_than_allowed_is_refused_before_it_is_unpacked(tmp_path, dataset, bring) -> None:
    import gzip

    import nibabel

    header = nibabel.Nifti1Header()
    header.set_data_shape((30_000, 30_000, 30_000))
    header.set_data_dtype(np.int16)
    header["magic"] = b"n+1"
    header["vox_offset"] = 352
    path = tmp_path / "big.nii.gz"
    path.write_bytes(gzip.compress(bytes(header.binaryblock) + bytes(4) + bytes(1 << 20)))
    run = bring(path)
    assert "larger than is taken" in reason(run, "big.nii.gz")
