"""Which mask belongs to which image, what a file is called, and what its path says of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

MASK_FOLDERS = frozenset(
    ("labels", "labelstr", "labelsts", "label", "segmentations", "segmentation", "segs", "seg", "masks")
) | {"mask", "gt", "groundtruth", "annotations"}
IMAGE_FOLDERS = frozenset(["images", "imagestr", "imagests", "image", "imgs", "img", "volumes", "scans"])
MASK_WORDS = frozenset(["label", "labels", "labelmap", "seg", "segmentation", "mask", "masks", "gt", "roi"])
IMAGE_WORDS = frozenset(["image", "img", "volume", "scan", "ct", "mr", "mri", "0000", "t1", "t2"])

_MODALITY_WORDS = {
    "CT": {"ct", "ncct", "cect", "hct"},
    "MR": {"mr", "mri", "t1", "t2", "t1w", "t2w", "t1c", "flair", "dwi", "adc", "swi"},
    "DX": {"cxr", "xray", "xr", "dx", "radiograph", "radiographs"},
    "US": {"us", "ultrasound", "sonography"},
    "MG": {"mg", "mammogram", "mammography"},
    "PT": {"pet", "pt", "suv"},
}
_ENDINGS = re.compile(r"(\.nii\.gz|\.nii|\.png|\.jpe?g|\.gz)$", re.IGNORECASE)


def stem(shown: str) -> str:
    """The file's name without folders and endings."""
    return _ENDINGS.sub("", PurePosixPath(shown).name)


def words_of(text: str) -> list[str]:
    """The parts of a name, small letters."""
    return [word for word in re.split(r"[^a-z0-9]+", text.lower()) if word]


def looks_like_mask(shown: str) -> bool:
    """Whether a file's folder or name says that it is a segmentation."""
    path = PurePosixPath(shown)
    if path.parent.name.lower() in MASK_FOLDERS:
        return True
    words = words_of(stem(shown))
    return bool(words) and (words[0] in MASK_WORDS or words[-1] in MASK_WORDS)


def image_of(mask: str, images: Iterable[str]) -> str | None:
    """The image that a mask belongs to by their names, or None.

    Known layouts: images/X with labels/X; X with X_seg, X_mask or label_X beside it; image with
    label; ct with a folder segmentations/ of one file per structure; nnU-Net's X_0000.
    """
    path = PurePosixPath(mask)
    by_folder: dict[str, list[str]] = {}
    for image in images:
        by_folder.setdefault(str(PurePosixPath(image).parent), []).append(image)
    key = _bare(stem(mask))
    if path.parent.name.lower() in MASK_FOLDERS:
        above = path.parent.parent
        for folder, names in by_folder.items():
            place = PurePosixPath(folder)
            if place.parent == above and place.name.lower() in IMAGE_FOLDERS:
                found = _matching(key, stem(mask), names)
                if found:
                    return found
        names = by_folder.get(str(above), [])
        return _matching(key, stem(mask), names) or _only(names)
    names = by_folder.get(str(path.parent), [])
    return _matching(key, stem(mask), names) or (_only(names) if not key else None)


def is_structure(mask: str, image: str) -> bool:
    """Whether a mask is one structure of several in a folder beside the image (TotalSegmentator)."""
    path = PurePosixPath(mask)
    return (
        path.parent.name.lower() in MASK_FOLDERS
        and path.parent.parent == PurePosixPath(image).parent
        and _bare(stem(mask)) != _bare(stem(image))
    )


def _bare(name: str) -> str:
    words = [word for word in words_of(name) if word not in MASK_WORDS and word not in IMAGE_WORDS]
    return " ".join(words)


def _matching(key: str, exact: str, names: list[str]) -> str | None:
    for name in names:
        if stem(name) == exact:
            return name
    same = [name for name in names if _bare(stem(name)) == key]
    return same[0] if len(same) == 1 else None


def _only(names: list[str]) -> str | None:
    plain = [name for name in names if not _bare(stem(name))]
    if len(plain) == 1:
        return plain[0]
    return names[0] if len(names) == 1 else None


def title_of(shown: str, source_name: str) -> str:
    """What to call a case after its file; "image.nii.gz" takes its folder's name."""
    name = re.sub(r"_0000$", "", stem(shown))
    if _bare(name):
        return name[:120]
    for folder in reversed(PurePosixPath(shown).parent.parts):
        if folder.lower() not in IMAGE_FOLDERS:
            return _ENDINGS.sub("", folder.removesuffix(".zip"))[:120]
    return (_ENDINGS.sub("", source_name.removesuffix(".zip")) or name)[:120]


def modality_of(*texts: str) -> str:
    """The modality that a path names, nearest word first; "" where it names none."""
    for text in texts:
        for word in reversed(words_of(_ENDINGS.sub("", text))):
            for modality, names in _MODALITY_WORDS.items():
                if word in names:
                    return modality
    return ""
