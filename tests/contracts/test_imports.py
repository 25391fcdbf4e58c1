"""Who may import whom: the directions that house.md draws, as one table and a walk over every file."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.contracts.source import ROOT, Source, sources, within

HEAVY = ("torch", "diffusers", "monai", "transformers", "accelerate", "peft", "safetensors")
APPS = ("core", "accounts", "cases", "registry", "jobs", "readings", "api")
PACKAGE_ITSELF = {"synthesis", "synthesis.__version__"}  # its version; what lies in it is judged by name
SHELVES = (
    "synthesis.samplers",
    "synthesis.backbones",
    "synthesis.counterfactuals",
    "training.objectives",
    "webapp.readings.questions",
)


@dataclass(frozen=True)
class Direction:
    """Files below `where` (but not below `but_not`) never import `never`, except what is in `save`."""

    where: tuple[str, ...]
    never: tuple[str, ...]
    reason: str
    save: tuple[str, ...] = ()
    but_not: tuple[str, ...] = ()


DIRECTIONS = [
    Direction(
        ("synthesis",),
        ("django", "celery", "rest_framework", "webapp", "workers", "training", "tests"),
        "synthesis is mathematics: it knows no site and no worker",
    ),
    Direction(("webapp",), HEAVY, "the web image holds no torch"),
    Direction(
        ("webapp",),
        ("synthesis",),
        "the web side sees only the torch-free part of synthesis",
        save=(
            "synthesis.catalog",
            "synthesis.options",
            "synthesis.control.patient_prompts",
            "synthesis.control.prompts",
            "synthesis.request",
            "synthesis.drift_size",
            "synthesis.edit_regions",
            "synthesis.edit_request",
            "synthesis.errors",
            "synthesis.footprint",
            "synthesis.imaging",
            "synthesis.patient_splits",
            "synthesis.phantoms",
            "synthesis.plain_yaml",
        ),
    ),
    Direction(("webapp",), ("synthesis.imaging.tensors",), "tensors.py needs torch"),
    Direction(
        (
            *("synthesis.catalog", "synthesis.control.prompts", "synthesis.options", "synthesis.request"),
            *("synthesis.drift_size", "synthesis.edit_regions"),
            *("synthesis.errors", "synthesis.footprint", "synthesis.patient_splits", "synthesis.phantoms"),
        ),
        HEAVY,
        "the web side imports these",
    ),
    Direction(
        ("synthesis.imaging",),
        HEAVY,
        "the web side imports these",
        but_not=("synthesis.imaging.tensors",),
    ),
    Direction(
        ("webapp.readings.statistics",),
        ("django", "celery", "rest_framework", "webapp", "synthesis"),
        "the statistics are numpy, scipy and statsmodels alone",
        save=("webapp.readings.statistics",),
    ),
    Direction(
        ("workers",),
        tuple(f"webapp.{app}.{part}" for app in APPS for part in ("views", "apis", "forms", "admin")),
        "workers write through services and read through selectors",
    ),
    Direction(("webapp", "synthesis", "training"), ("workers", "tests"), "nothing imports workers or tests"),
    Direction(("workers",), ("training", "tests"), "nothing imports training or tests"),
    Direction(("webapp", "synthesis"), ("training",), "nothing imports training"),
    Direction(
        ("training",),
        ("django", "celery", "webapp"),
        "training reads what `manage.py export_dataset` wrote, never the database",
    ),
]


def broken(direction: Direction, source: Source) -> Iterator[str]:
    """The lines of a file that go against a direction."""
    if not within(source.module, *direction.where) or within(source.module, *direction.but_not):
        return
    for name, line in source.imports:
        if name in PACKAGE_ITSELF:
            continue
        if within(name, *direction.never) and not within(name, *direction.save):
            yield f"{source.name}:{line} imports {name}"


@pytest.mark.parametrize("direction", DIRECTIONS, ids=lambda d: f"{'+'.join(d.where)} not {d.never[0]}")
def test_directions(direction: Direction) -> None:
    against = [line for source in sources() for line in broken(direction, source)]
    assert not against, f"{direction.reason}:\n" + "\n".join(against)


def test_workers_touch_records_only_through_services_and_selectors() -> None:
    """Model classes may be named (types, choices); asking or writing through them may not."""
    against = []
    for source in sources("workers"):
        for node in ast.walk(source.tree):
            manager = isinstance(node, ast.Attribute) and node.attr in {"objects", "_default_manager"}
            saving = (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in {"save", "asave"}
                and any(keyword.arg == "update_fields" for keyword in node.keywords)
            )
            if manager or saving:
                against.append(f"{source.name}:{node.lineno} {ast.unparse(node)}")
    assert not against, "\n".join(against)


def test_apps_look_left_only() -> None:
    against = []
    for source in sources("webapp"):
        app = source.module.split(".")[1] if source.module.count(".") else ""
        if app not in APPS:
            continue
        right = tuple(f"webapp.{other}" for other in APPS[APPS.index(app) + 1 :])
        against += [
            f"{source.name}:{line} imports {name}" for name, line in source.imports if within(name, *right)
        ]
    assert not against, f"the order of the apps is {' < '.join(APPS)}:\n" + "\n".join(against)


LAYERS = {  # a part of an app -> what it never imports of its own app
    "models": ("services", "selectors", "forms", "views", "apis", "urls", "admin"),
    "selectors": ("services", "forms", "views", "apis", "urls", "admin"),
    "services": ("forms", "views", "apis", "urls", "admin"),
    "forms": ("views", "apis", "urls", "admin"),
    "views": ("urls", "admin"),
    "apis": ("urls", "admin", "views"),
}


def test_inside_an_app_views_call_services_and_services_call_models() -> None:
    against = []
    for source in sources("webapp"):
        parts = source.module.split(".")
        if len(parts) != 3 or parts[1] not in APPS or parts[2] not in LAYERS:
            continue
        above = tuple(f"webapp.{parts[1]}.{layer}" for layer in LAYERS[parts[2]])
        against += [
            f"{source.name}:{line} imports {name}" for name, line in source.imports if within(name, *above)
        ]
    assert not against, "\n".join(against)


@pytest.mark.parametrize("shelf", SHELVES)
def test_files_on_a_shelf_do_not_import_each_other(shelf: str) -> None:
    folder = ROOT / shelf.replace(".", "/")
    books = [Source(path) for path in sorted(folder.glob("*.py")) if path.name != "__init__.py"]
    against = []
    for book in books:
        others = tuple(other.module for other in books if other.module != book.module)
        against += [
            f"{book.name}:{line} imports {name}" for name, line in book.imports if within(name, *others)
        ]
    assert not against, "\n".join(against)


def test_the_launcher_needs_nothing_installed() -> None:
    against = []
    for source in sources("webapp"):
        before_install = within(source.module, "webapp.launch") and source.path.name != "prepare.py"
        if not before_install and source.module != "webapp":
            continue
        for name, line in source.imports:
            if name.split(".")[0] not in sys.stdlib_module_names and not within(name, "webapp.launch"):
                against.append(f"{source.name}:{line} imports {name}")
    assert not against, "\n".join(against)


# Who else touches the process environment, and why.
ENVIRONMENT_READERS = {
    "webapp/settings/env.py": "the sole reader",
    "webapp/settings/test.py": "gives tests a home of their own before the settings are read",
    "webapp/launch/__main__.py": "runs before anything is installed; hands its environment on",
    "webapp/launch/environment.py": "runs before anything is installed",
    "workers/supervisor.py": "hands its environment on to the workers that it starts",
}


def _reads_environment(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if (
            not isinstance(node, ast.Attribute)
            or not isinstance(node.value, ast.Name)
            or node.value.id != "os"
        ):
            continue
        if node.attr in {"environ", "getenv", "environb"}:
            yield f"{source.name}:{node.lineno}"


def test_the_environment_is_read_in_one_place() -> None:
    against = []
    for source in sources("webapp", "workers", "synthesis"):
        if source.name in ENVIRONMENT_READERS:
            continue
        lines = source.text.splitlines()
        for place in _reads_environment(source):
            line = lines[int(place.rsplit(":", 1)[1]) - 1]
            if 'os.environ.setdefault("DJANGO_SETTINGS_MODULE"' not in line:
                against.append(f"{place} {line.strip()}")
    assert not against, "\n".join(against)


def test_the_walk_sees_imports_inside_functions() -> None:
    source = Source(ROOT / "webapp" / "registry" / "apps.py")
    assert "webapp.registry.rules" in {name for name, _ in source.imports}
