"""The running site: start, queue, import, DICOMweb, memory."""

import http.client
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from tests import factories
from tests.bench.table import Measure, median
from tests.running import Launched

JOBS = 12
SERIES, SLICES = 4, 60
FRAMES = 300
PATIENCE = 300.0


@dataclass
class Api:
    """A program that talks to the site over one kept connection."""

    launched: Launched
    token: str
    patience: float = PATIENCE  # seconds for a job, and for the jobs before it

    def __post_init__(self) -> None:
        self.connection = http.client.HTTPConnection(urlsplit(self.launched.address).netloc, timeout=60)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
        """One request; its status and body."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        fields = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", **headers}
        for is_last in (False, True):
            try:
                self.connection.request(method, urlsplit(path).path + _query(path), data, fields)
                answer = self.connection.getresponse()
                return answer.status, answer.read()
            except (BrokenPipeError, ConnectionResetError, http.client.RemoteDisconnected):
                self.connection.close()  # the site closes a connection that rests; the next try opens another
                if is_last:
                    raise
        raise RuntimeError("unreachable")

    def get(self, path: str) -> Any:
        """A JSON document.

        Raises:
            RuntimeError: for any status but 200.
        """
        status, body = self.ask("GET", path, Accept="application/json")
        if status != 200:
            raise RuntimeError(f"{path}: {status} {body[:300]!r}")
        return json.loads(body)

    def wait(self, job: str) -> Any:
        """The job when it is over.

        Raises:
            RuntimeError: when it takes too long or fails.
        """
        deadline = time.monotonic() + self.patience
        while time.monotonic() < deadline:
            found = self.get(job)
            if found["state"] == "succeeded":
                return found
            if found["state"] in {"failed", "cancelled"}:
                raise RuntimeError(f"{job}: {found['state']} {found['error_message']}")
            time.sleep(0.05)
        raise RuntimeError(f"{job} did not end within {self.patience:.0f} s")


def _query(path: str) -> str:
    query = urlsplit(path).query
    return f"?{query}" if query else ""


def measure_queue(api: Api) -> list[Measure]:
    """From handing a job in to a worker beginning it, one at a time on an idle queue, and the whole of it."""
    model = api.get("/api/v1/models/")["results"][0]["id"]
    starts, wholes = [], []
    for number in range(JOBS):
        body = {
            "model": model,
            "seed": number,
            "parameters": {"phantom_seed": 1, "condition": {"modality": "CT", "severity": "severe"}},
        }
        status, answer = api.ask("POST", "/api/v1/requests/", body)
        if status != 202:
            raise RuntimeError(f"the request was answered {status}: {answer[:300]!r}")
        job = api.wait(json.loads(answer)["jobs"][0])
        created, started, finished = (
            _seconds(job[f"{event}_at"]) for event in ("created", "started", "finished")
        )
        if number:  # the first loads the model
            starts.append((started - created) * 1e3)
            wholes.append((finished - created) * 1e3)
        else:
            first = (finished - created) * 1e3
    return [
        Measure(
            "a job, handed in until it begins (idle queue)",
            median(starts),
            "ms",
            note=f"worst {max(starts):.0f}",
        ),
        Measure("a job of one image, handed in until done", median(wholes), "ms"),
        Measure(
            "the same, the first one (loads the model)", first, "ms", first / median(wholes), "a warm one"
        ),
    ]


def _seconds(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()


def measure_import(api: Api) -> tuple[list[Measure], str]:
    """DICOM files per second through upload, checks, de-identification and storage; and a case's address."""
    status, answer = api.ask("POST", "/api/v1/datasets/", {"name": f"Bench {time.time():.0f}"})
    dataset = json.loads(answer)["id"]
    files = [file for seed in range(SERIES) for file in factories.ct_files(SLICES, seed=1000 + seed)]
    boundary = "semblance-bench"
    parts = b"".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="{number}.dcm"\r\n'
        f"Content-Type: application/dicom\r\n\r\n".encode()
        + file
        + b"\r\n"
        for number, file in enumerate(files)
    )
    began = time.perf_counter()
    status, answer = api.ask(
        "POST",
        f"/api/v1/datasets/{dataset}/imports/",
        parts + f"--{boundary}--\r\n".encode(),
        **{"Content-Type": f"multipart/form-data; boundary={boundary}"},
    )
    if status != 202:
        raise RuntimeError(f"the import was answered {status}: {answer[:300]!r}")
    job = api.wait(json.loads(answer)["job"])
    whole = time.perf_counter() - began
    working = _seconds(job["finished_at"]) - _seconds(job["started_at"])
    case = api.get(f"/api/v1/cases/?dataset={dataset}")["results"][0]
    return [
        Measure("import, upload included", len(files) / whole, "files/s"),
        Measure("import, the worker's part", len(files) / working, "files/s"),
    ], case


def measure_frames(api: Api, case: Any) -> list[Measure]:
    """Frames per second over DICOMweb: one after another, and four at a time."""
    series = urlsplit(case["dicomweb"]).path
    instances = [entry["00080018"]["Value"][0] for entry in api.get(f"{series}/instances")]
    paths = [f"{series}/instances/{instances[index % len(instances)]}/frames/1" for index in range(FRAMES)]

    def fetch(own: Api, wanted: list[str]) -> None:
        for path in wanted:
            status, body = own.ask("GET", path, Accept='multipart/related; type="application/octet-stream"')
            if status != 200 or len(body) < 1000:
                raise RuntimeError(f"{path}: {status} {body[:200]!r}")

    began = time.perf_counter()
    fetch(api, paths)
    alone = FRAMES / (time.perf_counter() - began)
    four = [Api(api.launched, api.token) for _ in range(4)]
    began = time.perf_counter()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(fetch, four, [paths[start::4] for start in range(4)]))
    together = FRAMES / (time.perf_counter() - began)
    size = f"{case['rows']} x {case['columns']}"
    return [
        Measure(f"DICOMweb frames of {size}, one connection", alone, "frames/s"),
        Measure(f"DICOMweb frames of {size}, four", together, "frames/s", together / alone, "one connection"),
    ]


def measure_memory(launched: Launched) -> list[Measure]:
    """The most memory that each kind of process has held since it started."""
    peaks: dict[str, float] = {}
    for process in launched.processes():
        command = launched.command_of(process)
        kind = next((kind for word, kind in KINDS.items() if word in command), "")
        if kind:
            peaks[kind] = max(peaks.get(kind, 0.0), _peak_mib(process))
    web = peaks.get("a site process", 0.0)
    return [
        Measure(f"peak memory of {kind}", peak, "MiB", peak / web if web else None, "a site process")
        for kind, peak in sorted(peaks.items())
    ]


KINDS = {"gunicorn": "a site process", "-Q compute": "the compute worker", "-Q records": "the records worker"}


def _peak_mib(process: int) -> float:
    try:
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        return float(psutil.Process(process).memory_info().rss) / 2**20
    except (OSError, psutil.Error):
        return 0.0
