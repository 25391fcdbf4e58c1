"""The form of "Change one thing" while the server draws it anew: what was chosen meanwhile is kept."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from tests import factories
from tests.factories_edits import edit_request

pytestmark = pytest.mark.django_db(transaction=True)


def test_what_is_chosen_before_the_new_form_comes_is_kept(site: str, page: Any, sign_in: Any) -> None:
    clinician = factories.person("clinician")
    item = edit_request(clinician)
    sign_in(page, clinician)
    page.goto(f"{site}{reverse('jobs:counterfactual-new')}?again={item.pk}")
    expect(page.locator("#check")).to_have_attribute("aria-busy", "false")
    page.locator("details.disclosure summary").click()
    waiting: list[Any] = []
    page.route("**" + reverse("jobs:counterfactual-apply"), lambda route: waiting.append(route))
    with page.expect_request("**" + reverse("jobs:counterfactual-apply")):
        page.check("[name=method][value=guided]")
    page.select_option("[name=to_severity]", "1.5")
    page.fill("[name=to_age]", "77")
    page.evaluate("document.querySelector('#request-form').dataset.old = 'yes'")
    waiting[0].continue_()
    expect(page.locator("#request-form[data-old]")).to_have_count(0)
    expect(page.locator("[name=to_severity]")).to_have_value("1.5")
    expect(page.locator("[name=to_age]")).to_have_value("77")
    expect(page.locator("[name=method][value=guided]")).to_be_checked()
    expect(page.locator("#check")).to_contain_text("1.5")
    expect(page.locator("#check")).to_contain_text("77 years")
