"""The keyboard's way through the viewers: into every viewport, and out again."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from tests import factories
from tests.factories_edits import edited_result

pytestmark = pytest.mark.django_db(transaction=True)

FOCUSED = """() => {
  const one = document.activeElement;
  return one.getAttribute('aria-label') || one.innerText || one.closest('label')?.innerText || one.tagName;
}"""


def _walk(page: Any, key: str, steps: int) -> list[str]:
    names = []
    for _ in range(steps):
        page.keyboard.press(key)
        names.append(str(page.evaluate(FOCUSED)).strip())
    return names


def test_tab_goes_through_all_viewports_of_the_workspace_and_on(site: str, page: Any, sign_in: Any) -> None:
    """Cornerstone swallows every key that is pressed on a viewport; Tab must still leave it."""
    clinician = factories.person("clinician")
    item = edited_result(clinician).request
    sign_in(page, clinician)
    page.goto(site + reverse("jobs:counterfactual-detail", args=[item.pk]))
    page.locator("[data-mount=result-viewer][data-state=ready]").wait_for()
    page.locator(".viewport").first.focus()
    names = _walk(page, "Tab", 4)
    assert [name.partition(":")[0] for name in names[:3]] == ["Counterfactual", "Opacity", "Difference"]
    assert names[3] not in ("BODY", names[2])
    back = _walk(page, "Shift+Tab", 5)
    assert [name.partition(":")[0] for name in back[:4]] == [
        *("Difference", "Opacity", "Counterfactual", "Original")
    ]
    assert back[4] == "Keys"


def test_tab_leaves_the_viewport_of_a_case(site: str, page: Any, sign_in: Any) -> None:
    clinician = factories.person("clinician")
    case = edited_result(clinician).case
    sign_in(page, clinician)
    page.goto(site + reverse("cases:case-detail", args=[case.pk]))
    page.locator("[data-mount=case-viewer][data-state=ready]").wait_for()
    page.locator(".viewport").first.focus()
    page.keyboard.press("ArrowDown")
    before = page.evaluate(FOCUSED)
    (after,) = _walk(page, "Tab", 1)
    assert after not in ("BODY", before)
