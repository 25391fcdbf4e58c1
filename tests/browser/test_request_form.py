"""The request form in a real browser: its slider by keyboard, and a journey with adapters on a whole site."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from django.urls import reverse
from playwright.sync_api import expect

from tests import factories
from tests.browser.reading import until
from tests.factories_adapters import tiny_adapter
from tests.running import ROOT, Launched
from tests.running import semblance as started
from webapp.jobs.models import SynthesisRequest

NARROW = {"width": 390, "height": 800}


@pytest.fixture
def clinician(site: str) -> Any:
    return factories.person("clinician")


@pytest.fixture
def model(site: str) -> Any:
    made = factories.generative_model(title="Abdomen, one axial slice, in one or two calls of the network")
    factories.adapter(base=made, title="Bright")
    return made


def test_slider_grades_and_number_say_the_same(
    page, site, sign_in, clinician, model, check_accessibility
) -> None:
    sign_in(page, clinician)
    page.goto(site + reverse("jobs:synthesise"))
    slider, number = page.locator("#severity-slider"), page.locator("[name=severity_level]")
    slider.wait_for()

    def says(*wanted: str) -> None:
        expect(page.locator("[name=severity]:checked")).to_have_value(wanted[0])
        expect(number).to_have_value(wanted[1])
        expect(slider).to_have_value(wanted[2])

    says("none", "0", "0")
    slider.focus()
    for _ in range(15):
        page.keyboard.press("ArrowRight")
    says("between", "1.5", "1.5")
    expect(slider).to_have_attribute("aria-valuetext", "1.5, low to mild")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    says("mild", "2", "2")
    page.locator("[name=severity][value=severe]").check()
    says("severe", "3", "3")
    number.fill("0.3")
    says("between", "0.3", "0.3")
    page.locator("#check .check__line").wait_for()
    check_accessibility(page)


def test_another_sampler_brings_its_options_and_keeps_the_rest(page, site, sign_in, clinician, model) -> None:
    sign_in(page, clinician)
    page.set_viewport_size(NARROW)
    page.goto(site + reverse("jobs:synthesise"))
    page.locator("#severity-slider").wait_for()
    page.locator("[name=severity_level]").fill("2.4")
    page.locator("details.disclosure summary", has_text="More settings").click()
    expect(page.locator("[name=kappa]")).to_be_visible()
    page.locator("#id_sampler").select_option("victr_literal")
    page.locator("[name=weight]").wait_for()
    expect(page.locator("[name=kappa]")).to_have_count(0)
    expect(page.locator("#severity-slider")).to_have_value("2.4")
    expect(page.locator("[name=severity]:checked")).to_have_value("between")
    until(lambda: page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def test_everything_works_without_a_script(another_machine, site, sign_in, clinician, model) -> None:
    page = another_machine(java_script_enabled=False)
    sign_in(page, clinician)
    page.goto(site + reverse("jobs:synthesise"))
    page.locator("[name=severity][value=between]").check()
    page.locator("[name=severity_level]").fill("1.5")
    page.locator("details.disclosure summary", has_text="More settings").click()
    page.locator("#id_sampler").select_option("ddim")
    page.get_by_role("button", name="Show this sampler's settings").click()
    page.locator("[name=eta]").fill("0.5")
    page.locator("#id_adapter").select_option(label="Bright 1")
    page.get_by_role("button", name="Make the images").click()
    page.get_by_text("Handed in.").wait_for()
    request = SynthesisRequest.objects.get()
    assert request.parameters["condition"]["severity_level"] == 1.5
    assert request.parameters["sampler"]["eta"] == 0.5
    assert request.adapter.title == "Bright"


# --- the journey


@pytest.fixture(scope="module")
def semblance(frontend: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    """Everything, as `make run` starts it."""
    with started(tmp_path_factory.mktemp("adapters")) as running:
        yield running


def enter(page: Any, semblance: Launched, role: str) -> None:
    page.goto(f"{semblance.address}/login/")
    page.get_by_label("Sign-in name").fill(role)
    page.get_by_label("Password").fill(semblance.passwords[role])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{semblance.address}/")


def upload(page: Any, semblance: Launched, folder: Path) -> None:
    """Install the adapter in a folder on the page, and wait until a worker has tried it."""
    page.goto(f"{semblance.address}/adapters/new/")
    page.get_by_label("Weights").set_input_files(folder / "adapter_model.safetensors")
    page.get_by_label("Settings").set_input_files(folder / "adapter_config.json")
    page.get_by_label("Recipe").set_input_files(folder / "recipe.json")
    page.get_by_role("button", name="Install").click()
    page.locator('#job-live[data-state="succeeded"]').wait_for()


def test_two_adapters_a_level_and_a_sampler_of_ones_own(page, another_machine, semblance, tmp_path) -> None:
    """Install two adapters, ask with one at severity 1.5 by DDIM with noise; the result says all that."""
    base = ROOT / "weights" / "abdomen-2d"
    for seed, name in enumerate(("first-adapter", "second-adapter")):
        tiny_adapter(tmp_path / name, base, seed=seed, rank=1, strength=0.05)
    manager = another_machine()
    enter(manager, semblance, "data_manager")
    upload(manager, semblance, tmp_path / "first-adapter")
    said = semblance.manage("install_model", str(tmp_path / "second-adapter"), "--user", "data_manager")
    assert "offered in the form" in said
    manager.close()

    enter(page, semblance, "clinician")
    page.goto(f"{semblance.address}/models/abdomen-2d/")
    expect(page.locator("tbody a", has_text="Adapter ")).to_have_count(2)
    page.get_by_role("link", name="Adapter second-adapter").click()
    page.get_by_role("button", name="Synthesise with it").click()
    page.locator("#severity-slider").wait_for()
    page.wait_for_load_state()
    page.locator("#severity-slider").focus()
    for _ in range(15):
        page.keyboard.press("ArrowRight")
    page.locator("details.disclosure summary", has_text="More settings").click()
    page.locator("#id_sampler").select_option("ddim")
    page.locator("[name=eta]").fill("0.5")
    page.locator("#id_steps").fill("6")
    page.locator("#id_seed").fill("7")
    page.locator("#check", has_text="the texture lies between the grades").wait_for()
    page.locator("#check .check__line").wait_for()
    page.get_by_role("button", name="Make the images").click()
    page.locator('#job-live[data-state="succeeded"]').wait_for()
    expect(page.locator("#job-live")).to_contain_text("Adapter second-adapter 1.0")
    page.locator(".gallery .tile a").first.click()
    page.locator("[data-mount=result-viewer][data-state=ready]").wait_for()

    settings = page.locator("section[aria-labelledby=settings-title] dl").inner_text()
    for words in (
        "Adapter second-adapter 1.0",
        "Cirrhosis 1.5 of 3, low to mild",
        "DDIM (for networks that predict noise)",
        "Noise per step (eta)\n0.5",
        "Adapter's weights (SHA-256)",
    ):
        assert words in settings
    with page.expect_download() as download:
        page.get_by_role("button", name="DICOM with mask (zip)").click()
    download.value.save_as(tmp_path / "result.zip")
    files = zipfile.ZipFile(tmp_path / "result.zip")
    (folder,) = {name.partition("/")[0] for name in files.namelist()}
    recipe = json.loads(files.read(f"{folder}/recipe.json"))["recipe"]
    assert (recipe["adapter"]["name"], recipe["sampler"]["eta"]) == ("second-adapter", 0.5)
    assert recipe["condition"]["severity_level"] == 1.5
    image = pydicom.dcmread(io.BytesIO(files.read(f"{folder}/image-0001.dcm")))
    told = image.ContributingEquipmentSequence[0].ContributionDescription
    assert (
        f"adapter second-adapter version 1.0, weights SHA-256 {recipe['adapter']['weights_sha256']}" in told
    )
    assert "cirrhosis 1.5 of 3 (low to mild)" in image.DerivationDescription

    page.get_by_role("button", name="Make exactly this again").click()
    page.get_by_text(re.compile("every pixel is the same")).wait_for()
