"""What a measurement says, and how it is printed and kept."""

import json
import platform
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Measure:
    """One figure. `ratio` is against `to`, measured in the same run; a figure alone says little elsewhere."""

    name: str
    value: float
    unit: str
    ratio: float | None = None
    to: str = ""
    note: str = ""


def median(values: Sequence[float]) -> float:
    """The middle of the values."""
    return statistics.median(values)


def print_table(measures: Sequence[Measure]) -> None:
    """A table for the terminal."""
    print(f"\n{'measure':<52}{'value':>12} {'unit':<12}{'ratio':>7}  to")
    for measure in measures:
        ratio = "" if measure.ratio is None else f"{measure.ratio:.2f}"
        note = f"  ({measure.note})" if measure.note else ""
        print(f"{measure.name:<52}{measure.value:>12,.1f} {measure.unit:<12}{ratio:>7}  {measure.to}{note}")


def write_json(measures: Sequence[Measure], folder: Path) -> Path:
    """Keep the measures with what they were taken on; the file's path."""
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    document = {
        "at": now.isoformat(timespec="seconds"),
        "commit": commit,
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": psutil.cpu_count(),
            "load_before": psutil.getloadavg()[0],
            "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
            "python": platform.python_version(),
        },
        "measures": [asdict(measure) for measure in measures],
    }
    path = folder / f"{now:%Y%m%d-%H%M%S}.json"
    text = json.dumps(document, indent=2)
    path.write_text(text)
    (folder / "latest.json").write_text(text)
    return path
