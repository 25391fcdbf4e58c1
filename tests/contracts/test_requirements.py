"""The pins: grouped, exact, installed; the web group holds all that the web side imports, and no torch."""

import importlib.util
import sys
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.contracts.source import ROOMS, ROOT, sources, within

HEAVY = {
    "torch",
    "diffusers",
    "monai",
    "transformers",
    "accelerate",
    "peft",
    "safetensors",
    "einops",
    "tokenizers",
}
TORCH_FREE_SYNTHESIS = (
    "synthesis.catalog",
    "synthesis.request",
    "synthesis.drift_size",
    "synthesis.edit_regions",
    "synthesis.edit_request",
    "synthesis.errors",
    "synthesis.footprint",
    "synthesis.imaging",
    "synthesis.phantoms",
)


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docker_requirements", ROOT / "docker" / "requirements.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


REQUIREMENTS = _load()


def names(wanted: str) -> set[str]:
    """The canonical names of an image's or a group's pins."""
    return {canonicalize_name(Requirement(pin).name) for pin in REQUIREMENTS.pins(wanted)}


def test_the_groups() -> None:
    assert list(REQUIREMENTS.groups()) == ["web", "synthesis", "training", "development"]


def test_the_web_list_has_no_torch_and_the_worker_list_has() -> None:
    assert not names("web") & HEAVY
    assert {"torch", "diffusers", "accelerate", "django", "celery"} <= names("worker")
    assert not names("worker") & names("development")


def test_nothing_is_pinned_twice() -> None:
    every = [
        canonicalize_name(Requirement(pin).name) for group in REQUIREMENTS.groups().values() for pin in group
    ]
    assert len(every) == len(set(every))


@pytest.mark.parametrize("pin", [pin for group in REQUIREMENTS.groups().values() for pin in group])
def test_each_pin_is_exact_and_installed(pin: str) -> None:
    requirement = Requirement(pin)
    assert [clause.operator for clause in requirement.specifier] == ["=="]
    wanted = str(requirement.specifier).removeprefix("==")
    assert "+" not in wanted, "no local version: TORCH_INDEX_URL chooses the build"
    try:
        installed = version(requirement.name)
    except PackageNotFoundError:
        pytest.fail(f"{pin} is not installed: run `make environment`")
    assert installed.split("+")[0] == wanted


def test_whatever_the_web_side_imports_is_in_the_web_list() -> None:
    providers = packages_distributions()
    missing: dict[str, str] = {}
    for source in sources("webapp", "synthesis"):
        if source.module.startswith("synthesis") and not within(source.module, *TORCH_FREE_SYNTHESIS):
            continue
        if source.module == "synthesis.imaging.tensors":
            continue
        for name, line in source.imports:
            top = name.split(".")[0]
            if top in sys.stdlib_module_names or top in ROOMS or top == "__future__":
                continue
            found = {canonicalize_name(provider) for provider in providers.get(top, [])}
            if not found & names("web"):
                missing[f"{source.name}:{line}"] = name
    assert not missing


def test_every_requirement_of_a_web_pin_is_pinned_in_the_web_list() -> None:
    from importlib.metadata import requires

    missing = []
    for pin in REQUIREMENTS.pins("web"):
        requirement = Requirement(pin)
        for text in requires(requirement.name) or []:
            needed = Requirement(text)
            extras = requirement.extras or {""}
            applies = needed.marker is None or any(
                needed.marker.evaluate({"extra": extra}) for extra in extras
            )
            if applies and canonicalize_name(needed.name) not in names("web"):
                missing.append(f"{pin} needs {needed}")
    assert not missing


# --- docker/


def test_the_compose_files_name_what_is_there() -> None:
    folder = ROOT / "docker"
    compose = yaml.safe_load((folder / "compose.yaml").read_text())
    gpu = yaml.safe_load((folder / "compose.gpu.yaml").read_text())
    assert set(compose["services"]) == {
        "postgres",
        "redis",
        "prepare",
        "web",
        "worker-compute",
        "worker-records",
    }
    assert set(gpu["services"]) <= set(compose["services"])
    built = {service["build"]["dockerfile"] for service in compose["services"].values() if "build" in service}
    assert built == {"docker/web.Dockerfile", "docker/worker.Dockerfile"}
    assert all((ROOT / dockerfile).is_file() for dockerfile in built)
    for name in ("worker-records", "web", "prepare"):
        assert compose["services"][name]["build"]["dockerfile"] == "docker/web.Dockerfile"


def test_the_compose_environment_is_one_that_the_settings_read() -> None:
    compose = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())
    settings = "".join(source.text for source in sources("webapp") if "settings" in source.name)
    for name in compose["services"]["web"]["environment"]:
        assert name == "DJANGO_SETTINGS_MODULE" or f'"{name}"' in settings, name


@pytest.mark.parametrize("dockerfile", ["web.Dockerfile", "worker.Dockerfile"])
def test_a_dockerfile_copies_only_what_exists_and_derives_its_list(dockerfile: str) -> None:
    text = (ROOT / "docker" / dockerfile).read_text()
    image = dockerfile.split(".")[0]
    assert f"docker/requirements.py {image}" in text
    for line in text.splitlines():
        if not line.startswith("COPY ") or "--from" in line:
            continue
        for source in line.split()[1:-1]:
            assert (ROOT / source).exists(), f"{dockerfile}: {line}"


def test_the_pins_are_read_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loose = tmp_path / "requirements.txt"
    loose.write_text("# --- web: x\nDjango>=5\n")
    monkeypatch.setattr(REQUIREMENTS, "REQUIREMENTS", loose)
    with pytest.raises(ValueError, match="exact pin"):
        REQUIREMENTS.groups()
