"""Every file of an import, as a path on this machine and a name to show; archives opened within bounds."""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from synthesis.imaging.errors import UnreadableFile
from synthesis.imaging.limits import DEFAULT, GIB, MIB, Limits
from webapp.cases.files import local_path
from webapp.cases.importing import sniff
from webapp.cases.importing.staging import safe_name, staged_files, unique_name

DISK_RESERVE = GIB
"""Free disk space that unpacking leaves alone."""


@dataclass
class Source:
    """One file: where it lies, what it is called in the report, its kind, or why it is refused."""

    path: Path
    shown: str
    kind: str = ""
    problem: str = ""


def gather(
    staged: str, scratch: Path, stack: ExitStack, *, limits: Limits = DEFAULT, on_file: Callable[[str], None]
) -> list[Source]:
    """The files of an import in a fixed order, archives unpacked into `scratch` under numbers.

    Args:
        staged: a folder of uploads in the storage, or an absolute path.
        stack: keeps copies of remote files until the import is over.
    """
    taken: set[str] = set()
    found: list[Source] = []
    for source in _outer(staged, stack):
        on_file(source.shown)
        source.shown = unique_name(source.shown, taken)
        found.append(source)
        if source.problem:
            continue
        try:
            source.kind = sniff.kind_of(source.path, source.shown)
            if source.kind == sniff.ZIP:
                members = list(_unpacked(source, scratch / f"zip-{len(found):06d}", limits))
                found.pop()
                for member in members:
                    member.shown = unique_name(member.shown, taken)
                    found.append(member)
        except UnreadableFile as error:
            source.problem = str(error)
        except OSError as error:
            source.problem = f"The file cannot be read: {error.strerror or 'input error'}."
    return found


def _outer(staged: str, stack: ExitStack) -> Iterator[Source]:
    if not os.path.isabs(staged):
        for item in staged_files(staged):
            yield Source(path=stack.enter_context(local_path(item["file"])), shown=item["path"])
        return
    root = Path(staged)
    if root.is_file():
        yield Source(path=root, shown=safe_name(root.name))
        return
    if not root.is_dir():
        raise UnreadableFile(f"There is no folder or file at {root}.")
    for folder, folders, names in os.walk(root, followlinks=False):
        folders.sort()
        for name in sorted([*names, *(f for f in folders if (Path(folder) / f).is_symlink())]):
            path = Path(folder) / name
            shown = safe_name(os.fsencode(path.relative_to(root)).decode("utf-8", "replace"))
            yield Source(path=path, shown=shown, problem=_special(path))


def _special(path: Path) -> str:
    try:
        mode = path.lstat().st_mode
    except OSError as error:
        return f"The file cannot be read: {error.strerror or 'input error'}."
    if stat.S_ISLNK(mode):
        return "This is a link to another place; links are not followed."
    return "" if stat.S_ISREG(mode) else "This is not a regular file."


def _unpacked(archive: Source, target: Path, limits: Limits) -> Iterator[Source]:
    """The members of a zip, each written to a numbered file while its size is counted.

    Raises:
        UnreadableFile: when the archive as a whole is damaged or a bomb.
    """
    target.mkdir(parents=True)
    total = 0
    try:
        with zipfile.ZipFile(archive.path) as bundle:
            members = [info for info in bundle.infolist() if not info.is_dir()]
            if len(members) > limits.archive_members:
                raise UnreadableFile(
                    f"The archive holds {len(members):,} files; at most {limits.archive_members:,} are taken."
                )
            if not members:
                raise UnreadableFile("The archive is empty.")
            for number, info in enumerate(members):
                source = Source(
                    path=target / f"{number:06d}", shown=f"{archive.shown}/{safe_name(info.filename)}"
                )
                source.problem = _member_problem(info)
                if not source.problem:
                    try:
                        total += _extract(bundle, info, source.path, limits, total)
                        source.kind = sniff.kind_of(source.path, source.shown)
                        if source.kind == sniff.ZIP:
                            source.problem = "An archive inside an archive is not opened; unpack it first."
                    except UnreadableFile as error:
                        source.problem = str(error)
                yield source
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError, ValueError) as error:
        raise UnreadableFile("The zip archive is damaged and cannot be opened.") from error


def _member_problem(info: zipfile.ZipInfo) -> str:
    name = info.filename.replace("\\", "/")
    if name.startswith("/") or ".." in name.split("/") or (len(name) > 1 and name[1] == ":"):
        return "The name leads out of the archive, so the file was not unpacked."
    if stat.S_ISLNK(info.external_attr >> 16):
        return "This is a link to another place; links are not followed."
    if info.flag_bits & 0x1:
        return "The file is encrypted with a password; unpack the archive first."
    return ""


def _extract(
    bundle: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, limits: Limits, before: int
) -> int:
    """Write one member, counting what really comes out, not what the archive claims.

    Raises:
        UnreadableFile: for a member that is damaged, too large, or packed beyond belief.
    """
    written = 0
    try:
        with bundle.open(info) as source, target.open("wb") as out:
            while block := source.read(MIB):
                written += len(block)
                _check_growth(written, info, before, limits)
                if written % (64 * MIB) < MIB and shutil.disk_usage(target.parent).free < DISK_RESERVE:
                    raise UnreadableFile("There is not enough disk space left to unpack this file.")
                out.write(block)
    except UnreadableFile:
        target.unlink(missing_ok=True)
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        target.unlink(missing_ok=True)
        raise UnreadableFile("The file is damaged inside the archive and cannot be unpacked.") from error
    return written


def _check_growth(written: int, info: zipfile.ZipInfo, before: int, limits: Limits) -> None:
    packed = max(info.compress_size, 1)
    if written > limits.archive_ratio_from and written > limits.archive_ratio * packed:
        raise UnreadableFile(
            f"The file unpacks to more than {limits.archive_ratio} times its size: "
            "this looks like a zip bomb."
        )
    if written > limits.file_bytes:
        raise UnreadableFile(f"The file unpacks to more than {limits.file_bytes / GIB:.0f} GiB.")
    if before + written > limits.archive_bytes:
        raise UnreadableFile(f"The archive unpacks to more than {limits.archive_bytes / GIB:.0f} GiB in all.")
