"""A reader, a case that is shared with them, and their browser."""

import pytest

from tests import factories


@pytest.fixture
def reader(storage):
    return factories.person("clinician")


@pytest.fixture
def shared_case(reader):
    dataset = factories.dataset(shares={reader: "view"})
    return factories.case(dataset=dataset, slices=3)


@pytest.fixture
def browser(client_of, reader):
    return client_of(reader)
