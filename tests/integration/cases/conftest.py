"""Running an import in place, as the worker does."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import factories
from webapp.cases.models import Dataset, ImportRun
from webapp.cases.services import import_execute, import_start


@pytest.fixture
def dataset(db: None, storage: Path) -> Dataset:
    """An empty dataset with an empty storage."""
    return factories.dataset()


@pytest.fixture
def bring(dataset: Dataset) -> Callable[..., ImportRun]:
    """Import a folder, a file, or uploads [(name, file)], and give back the finished run."""

    def run(what: Any, *, into: Dataset | None = None, on_step: Any = None) -> ImportRun:
        home = into or dataset
        source = {"path": what} if isinstance(what, Path) else {"files": what}
        made = import_start(user=home.owner, dataset=home, source_name="test", in_background=False, **source)
        steps = {"on_step": on_step} if on_step else {}
        return import_execute(run_id=made.pk, **steps)

    return run


def outcomes(run: ImportRun) -> dict[str, str]:
    """File -> outcome."""
    return dict(run.entries.values_list("path", "outcome"))


def reason(run: ImportRun, path: str) -> str:
    """What the report says of one file."""
    return run.entries.get(path=path).reason
