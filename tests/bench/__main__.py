"""`make bench`: every measure as a table, and as JSON under var/bench. Run it on an idle machine."""

import os
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.browser import measure_first_image
from tests.bench.readings import measure_readings
from tests.bench.samplers import measure_samplers
from tests.bench.site import Api, measure_frames, measure_import, measure_memory, measure_queue
from tests.bench.table import ROOT, Measure, print_table, write_json
from tests.running import launch


def main(wanted: list[str]) -> int:
    """Measure everything, or only `samplers`, `site` or `readings`, and print it."""
    load = os.getloadavg()[0]
    if load > 0.5 * (os.cpu_count() or 1):
        print(f"The machine is busy (load {load:.1f}): trust the ratios more than the figures.")
    parts = {"samplers": measure_samplers, "site": _site, "readings": _readings}
    measures = [measure for name in wanted or parts for measure in parts[name]()]
    print_table(measures)
    home = Path(os.environ.get("SEMBLANCE_HOME", "").strip() or ROOT / "var")
    print(f"\nKept as {write_json(measures, home / 'bench')}")
    return 0


def _readings() -> list[Measure]:
    """Reader studies on a site of their own in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="semblance bench ") as folder:
        launched = launch(Path(folder))
        try:
            launched.wait_until_ready()
            return measure_readings(launched)
        finally:
            launched.stop()


def _site() -> list[Measure]:
    """A site of its own in a temporary folder: first start, all measures, second start."""
    with tempfile.TemporaryDirectory(prefix="semblance bench ") as folder:
        home = Path(folder)
        first = launch(home)
        try:
            first.wait_until_ready()
            researcher = Api(first, first.manage("create_api_token", "researcher"))
            manager = Api(first, first.manage("create_api_token", "data_manager"))
            measures = measure_queue(researcher)
            imports, case = measure_import(manager)
            measures += imports
            measures += measure_frames(manager, case)
            measures += measure_first_image(first, case)
            measures += measure_memory(first)
        finally:
            began = time.perf_counter()
            first.stop()
            stopping = time.perf_counter() - began
        second = launch(home)
        try:
            second.wait_until_ready()
        finally:
            second.stop()
    return [
        *measures,
        Measure("first start of `make run` (packages installed)", first.seconds, "s"),
        Measure(
            "warm start of `make run`", second.seconds, "s", second.seconds / first.seconds, "first start"
        ),
        Measure("Ctrl-C until everything has ended", stopping, "s"),
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
