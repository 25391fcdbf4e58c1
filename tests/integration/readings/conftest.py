"""A reader, an open study of four items, and the reader's browser."""

import pytest

from tests import factories, factories_taking
from tests.integration.readings.taking import Browser


@pytest.fixture
def reader(storage):
    return factories.person("annotator")


@pytest.fixture
def reading(reader):
    return factories_taking.study([reader])


@pytest.fixture
def browser_of(client_of):
    """The browser of a reader in a study; another call is another page."""

    def make(reader, reading):
        return Browser(client_of(reader), reading.places.get(user=reader))

    return make


@pytest.fixture
def browser(browser_of, reader, reading):
    return browser_of(reader, reading)
