"""`make screenshots`: every page in dark and light into docs/screenshots, from a site of its own.

`python -m tests.browser.screenshots case model` takes only those named.

Nothing in the pictures is drawn for them: Semblance is started on an empty home, images are asked for
over its own API, and Debian's Chromium looks at the pages.
"""

import io
import json
import sys
import tempfile
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from tests.bench.site import Api
from tests.browser import studies
from tests.browser.conftest import CHROMIUM, FLAGS
from tests.running import Launched, semblance

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "screenshots"
SIZE = {"width": 1280, "height": 800}
THEMES = ("dark", "light")
VIEWER = "[data-mount=case-viewer][data-state=ready]"
RESULT = "[data-mount=result-viewer][data-state=ready]"
COLOURS = 256
PATIENCE_S = 3600.0  # a machine that is busy with other things takes many times as long; what dies is noticed
PATIENCE_MS = 900_000
SETTLING = 8
# Resolves once, for several frames in a row, fonts and images are there, nothing is being loaded or fetched,
# and nothing moves (but for what turns for ever). Evaluated, not polled: polling needs eval, which the
# policy forbids.
REST = """(patience) => new Promise((resolve, reject) => {
  const deadline = performance.now() + patience;
  const waiting = () => [
    document.fonts.status !== 'loaded' && 'fonts',
    [...document.images].some((one) => one.loading !== 'lazy' && !one.complete) && 'images',
    document.querySelector('[data-state=loading]') && 'a viewer',
    document.querySelector('[data-progress]:not([hidden])') && 'slices',
    document.querySelector('.htmx-request, .htmx-settling, .htmx-swapping') && 'a fragment',
    document.getAnimations().some((one) =>
      one.playState === 'running' && one.effect?.getTiming().iterations !== Infinity) && 'an animation',
  ].filter(Boolean);
  const look = (calm) => {
    const reasons = waiting();
    if (!reasons.length && calm === 6) resolve();
    else if (performance.now() > deadline) reject(new Error(`still waiting for ${reasons.join(', ')}`));
    else requestAnimationFrame(() => look(reasons.length ? 0 : calm + 1));
  };
  look(0);
})"""


@dataclass(frozen=True)
class Shot:
    """One page as one person sees it, and what must be there before the picture is taken."""

    name: str
    person: str
    path: str
    wait: str = "main"
    full: bool = False


def main(wanted: list[str]) -> int:
    """Start, fill, look, end."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="semblance-") as folder, _started(Path(folder)) as site:
        reads = not wanted or any(name.startswith(("reading", "take")) for name in wanted)
        shots = [*_fill(site), *(_readings(site) if reads else [])]
        shots = [shot for shot in shots if not wanted or shot.name in wanted]
        _take(site, shots)
    print(f"{len(shots) * len(THEMES)} pictures are in {FOLDER}")
    return 0


def _started(home: Path) -> AbstractContextManager[Launched]:
    print("Starting Semblance on an empty home", flush=True)
    return semblance(home, patience=PATIENCE_S)


def _readings(site: Launched) -> list[Shot]:
    """Launch a new version of the demo study; the pages of leads and readers."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        pages = {}
        for person in ("study_lead", "annotator"):
            context = browser.new_context(viewport=SIZE)
            context.set_default_timeout(PATIENCE_MS)
            pages[person] = context.new_page()
            _sign_in(pages[person], site, person)
        demo = studies.demo_study(pages["study_lead"], site)
        study = studies.launch_again(pages["study_lead"], site, demo, "annotator")
        draft = studies.new_version(pages["study_lead"], site, study)
        place = studies.begin(pages["annotator"], site)
        browser.close()
    return [
        Shot("readings", "study_lead", "/readings/"),
        Shot("reading", "study_lead", f"/readings/{study}/", full=True),
        Shot("reading-audit", "study_lead", f"/readings/{study}/audit/", full=True),
        Shot("reading-draft", "study_lead", f"/readings/{draft}/"),
        Shot("reading-questions", "study_lead", f"/readings/{draft}/questions/", full=True),
        Shot("reading-items", "study_lead", f"/readings/{draft}/items/", full=True),
        Shot("reading-design", "study_lead", f"/readings/{draft}/design/", full=True),
        Shot("reading-planner", "study_lead", f"/readings/{draft}/planner/", full=True),
        Shot("reading-report", "study_lead", f"/readings/{demo}/report/"),
        Shot("reading-report-whole", "study_lead", f"/readings/{demo}/report/", full=True),
        Shot("take-welcome", "annotator", f"/take/{place}/"),
        Shot("take-read", "annotator", f"/take/{place}/read/", "body[data-state=ready]"),
    ]


def _fill(site: Launched) -> list[Shot]:
    """Ask for some images of a demo case and of phantoms; the pages to look at."""
    print(f"Asking for images at {site.address}, ready after {site.seconds:.0f} s", flush=True)
    clinician = Api(site, site.manage("create_api_token", "clinician"), patience=PATIENCE_S)
    model = clinician.get("/api/v1/models/")["results"][0]
    dataset = clinician.get("/api/v1/datasets/")["results"][0]
    cases = clinician.get(f"/api/v1/cases/?dataset={dataset['id']}")["results"]
    healthy = next(case for case in cases if "CT healthy" in case["name"])
    mask = clinician.get(f"/api/v1/masks/?case={healthy['id']}")[0]
    source = {"case": healthy["id"], "mask": mask["id"], "slice_index": healthy["slice_count"] // 2}
    last: Any = None
    made: list[str] = []
    for severity in ("none", "mild", "severe"):
        condition = {"modality": "CT", "severity": severity, "age": 61, "sex": "F"}
        last = clinician.wait(_ask(clinician, model, condition, source, seed=7, count=1))
        made.append(clinician.get(last["results"][0])["id"])
    running = _ask(clinician, model, {"modality": "T2"}, {"phantom_seed": 5}, seed=1, count=8, steps=30)
    query = f"?case={healthy['id']}&mask={mask['id']}&slice={source['slice_index']}"
    return [
        Shot("login", "", "/login/", "form"),
        Shot("dashboard", "clinician", "/"),
        Shot("datasets", "clinician", "/datasets/"),
        Shot("dataset", "clinician", f"/datasets/{dataset['id']}/", full=True),
        Shot("dataset-manage", "data_manager", f"/datasets/{dataset['id']}/", full=True),
        Shot("import", "data_manager", f"/datasets/{dataset['id']}/import/"),
        Shot("case", "clinician", f"/cases/{healthy['id']}/", VIEWER),
        Shot("synthesise", "clinician", f"/synthesise/{query}"),
        Shot("job", "clinician", f"/jobs/{running.rstrip('/').rpartition('/')[2]}/"),
        Shot("jobs", "clinician", "/jobs/"),
        Shot("results", "clinician", "/results/", full=True),
        Shot("result", "clinician", f"/results/{made[-1]}/", full=True),
        *_figures(clinician, model),
        *_edits(clinician, _exact(clinician), healthy, mask),
        Shot("compare", "clinician", f"/results/{made[0]}/compare/{made[-1]}/", RESULT),
        Shot("dataset-export", "data_manager", f"/datasets/{dataset['id']}/export/"),
        Shot("case-edit", "data_manager", f"/cases/{healthy['id']}/edit/", full=True),
        Shot("models", "clinician", "/models/"),
        Shot("model", "clinician", f"/models/{model['name']}/", full=True),
        Shot("model-install", "data_manager", "/models/new/"),
        Shot("adapter-install", "data_manager", "/adapters/new/"),
        Shot("profile", "researcher", "/profile/", full=True),
        Shot("api", "researcher", "/api/docs/"),
        Shot("people", "administrator", "/people/"),
        Shot("audit", "administrator", "/audit/"),
    ]


def _figures(api: Api, model: Any) -> list[Shot]:
    """An image with its uncertainty map, and one anatomy under every severity."""
    wish = {"condition": {"modality": "CT", "severity": "severe"}, "phantom_seed": 2}
    body = {"model": model["id"], "parameters": wish | {"uncertainty": True}, "seed": 3}
    status, answer = api.ask("POST", "/api/v1/requests/", body)
    last = api.wait(str(json.loads(answer)["jobs"][0])) if status == 202 else {}
    mapped = api.get(last["results"][0])["id"]
    status, answer = api.ask("POST", f"/api/v1/results/{mapped}/severities/", {})
    grid = json.loads(answer)
    for cell in grid["cells"]:
        api.wait(cell["job"])
    return [
        Shot("uncertainty", "clinician", f"/results/{mapped}/", f"{RESULT}[data-heat=shown]"),
        Shot("severities", "clinician", f"/severities/{grid['id']}/", RESULT),
    ]


def _exact(api: Api) -> Any:
    """The shipped model that changes images best: the one that was not distilled to few steps."""
    return next(one for one in api.get("/api/v1/models/")["results"] if one["name"] == "abdomen-2d")


def _edits(api: Api, model: Any, case: Any, mask: Any) -> list[Shot]:
    """The healthy liver with severe cirrhosis: one slice, its undoing, every severity, the whole series."""
    shows = {"modality": "CT", "severity": "none", "age": 58.0, "sex": "M"}
    wish = {
        **{"model": model["id"], "case": case["id"], "mask": mask["id"], "seed": 11},
        "slice_index": case["slice_count"] // 2,
        "parameters": {
            "before": shows,
            "condition": shows | {"severity": "severe"},
            "edit": {"undo": True},
        },
    }
    one = _counterfactual(api, wish)
    several = {**wish["parameters"], "edit": {"undo": True, "variety": 0.5}}
    seeds = _counterfactual(api, wish | {"parameters": several, "count": 3})
    whole = {"first": 0, "last": case["slice_count"] - 1}
    changed = wish["parameters"] | {"edit": {"undo": False}}
    series = _counterfactual(api, wish | {"slices": whole, "parameters": changed})
    status, answer = api.ask("POST", "/api/v1/counterfactuals/strips/", wish | {"along": "severity"})
    strip = json.loads(answer)
    for cell in strip["cells"] if status == 202 else ():
        api.wait(cell["job"])
    form = f"/counterfactuals/new/?case={case['id']}&mask={mask['id']}&slice={wish['slice_index']}"
    return [
        Shot("counterfactual-form", "clinician", form, ".check__pictures"),
        Shot("counterfactual", "clinician", f"/counterfactuals/{one}/", RESULT),
        Shot("counterfactual-undone", "clinician", f"/counterfactuals/{one}/?show=undone", RESULT),
        Shot("counterfactual-seeds", "clinician", f"/counterfactuals/{seeds}/", RESULT),
        Shot("counterfactual-series", "clinician", f"/counterfactuals/{series}/?slice=15", RESULT),
        Shot("counterfactual-strip", "clinician", f"/counterfactuals/strips/{strip['id']}/", RESULT),
    ]


def _counterfactual(api: Api, wish: dict[str, Any]) -> str:
    """Ask for a change and wait until it is made; its id."""
    status, answer = api.ask("POST", "/api/v1/counterfactuals/", wish)
    if status != 202:
        raise RuntimeError(f"the change was answered {status}: {answer.decode()[:400]}")
    made = json.loads(answer)
    api.wait(made["jobs"][0])
    return str(made["id"])


def _ask(
    api: Api,
    model: Any,
    condition: dict[str, Any],
    anatomy: dict[str, Any],
    *,
    seed: int,
    count: int,
    steps: int = 4,
) -> str:
    """Hand in a request; the path of its job."""
    parameters: dict[str, Any] = {"condition": condition, "sampler": {"steps": steps}}
    if "phantom_seed" in anatomy:
        parameters["phantom_seed"] = anatomy["phantom_seed"]
        anatomy = {}
    body = {"model": model["id"], "parameters": parameters, "seed": seed, "count": count, **anatomy}
    status, answer = api.ask("POST", "/api/v1/requests/", body)
    if status != 202:
        raise RuntimeError(f"the request was answered {status}: {answer.decode()[:400]}")
    return str(json.loads(answer)["jobs"][0])


def _take(site: Launched, shots: list[Shot]) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for person in dict.fromkeys(shot.person for shot in shots):
            context = browser.new_context(viewport=SIZE, device_scale_factor=1)
            context.set_default_timeout(PATIENCE_MS)
            page = context.new_page()
            if person:
                _sign_in(page, site, person)
            for shot in shots:
                if shot.person == person:
                    print(shot.name, flush=True)
                    _picture(page, site, shot, context)
            context.close()
        browser.close()


def _sign_in(page: Any, site: Launched, person: str) -> None:
    page.goto(f"{site.address}/login/")
    page.fill("[name=username]", person)
    page.fill("[name=password]", site.passwords[person])
    page.click("main [type=submit]")
    page.wait_for_url(f"{site.address}/")


def _settled(page: Any, shot: Shot) -> bytes:
    """The page at rest: two pictures in a row are the same (a page that never rests: the last one)."""
    before = b""
    if shot.full:  # what lies below the fold is in the picture, so it is loaded too
        page.evaluate(
            "document.querySelectorAll('img[loading=lazy]').forEach((one) => one.loading = 'eager')"
        )
    for _ in range(SETTLING):
        page.evaluate(REST, PATIENCE_MS)
        now = page.screenshot(full_page=shot.full)
        if before == now:
            break
        before = now
    return now


def _picture(page: Any, site: Launched, shot: Shot, context: Any) -> None:
    for theme in THEMES:
        context.add_cookies([{"name": "theme", "value": theme, "url": site.address}])
        page.goto(site.address + shot.path)
        page.locator(shot.wait).first.wait_for()
        image = Image.open(io.BytesIO(_settled(page, shot)))
        # Few pixels have the colours of a map, and those are what the picture is for: cover, then refine.
        reduced = image.convert("RGB").quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, kmeans=2)
        reduced.save(FOLDER / f"{shot.name}-{theme}.png", optimize=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
