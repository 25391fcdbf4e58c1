"""Rows about datasets, cases, masks and imports."""

from collections.abc import Callable
from typing import Any

from tests import factories
from tests.integration.permissions.rows import Row
from webapp.cases.models import Case, Dataset, ImportEntry, ImportRun, Instance

BROWSERS = "clinician study_lead data_manager researcher"


def shared(level: str) -> Callable[[Any], Any]:
    """A dataset that somebody else owns, shared with the person."""
    return lambda person: factories.dataset(shares={person: level} if person else None)


def case_in(level: str) -> Callable[[Any], Any]:
    """A case in a dataset that is shared with the person, or, without a level, with nobody."""
    return lambda person: factories.case(dataset=shared(level)(person) if level else factories.dataset())


def mask_in(level: str) -> Callable[[Any], Any]:
    """A mask of a case in a dataset that is shared with the person."""

    def build(person: Any) -> Any:
        case = case_in(level)(person)
        return factories.mask(case, case.dataset.owner)

    return build


def own_dataset(person: Any) -> Any:
    """A dataset that the person owns, whatever their roles are now."""
    return factories.dataset(owner=person)


def own_case(person: Any) -> Any:
    """A case of the person's own, in no dataset."""
    return factories.case(owner=person or factories.person("clinician"))


def run_of(level: str) -> Callable[[Any], Any]:
    """An import of somebody else into a shared dataset."""

    def build(person: Any) -> Any:
        dataset = shared(level)(person)
        return ImportRun.objects.create(dataset=dataset, owner=dataset.owner, source_name="folder")

    return build


def entry_of(level: str) -> Callable[[Any], Any]:
    """A line of such an import's report."""
    return lambda person: ImportEntry.objects.create(
        run=run_of(level)(person), path="one.dcm", outcome="taken"
    )


OBJECTS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "datasets": ("cases.Dataset", lambda _: Dataset),
    "hidden dataset": ("cases.Dataset", lambda _: factories.dataset()),
    "own dataset": ("cases.Dataset", lambda person: own_dataset(person) if person else factories.dataset()),
    "cases": ("cases.Case", lambda _: Case),
    "own case": ("cases.Case", own_case),
    "hidden case": ("cases.Case", case_in("")),
    "instance": ("cases.Instance", lambda person: Instance.objects.get(case=case_in("view")(person))),
    "imports": ("cases.ImportRun", lambda _: ImportRun),
    "entry": ("cases.ImportEntry", entry_of("manage")),
    **{f"dataset to {level}": ("cases.Dataset", shared(level)) for level in ("view", "annotate", "manage")},
    **{f"case to {level}": ("cases.Case", case_in(level)) for level in ("view", "annotate", "manage")},
    **{f"mask to {level}": ("cases.Mask", mask_in(level)) for level in ("view", "annotate", "manage")},
    **{f"import to {level}": ("cases.ImportRun", run_of(level)) for level in ("view", "manage")},
}


def levels(kind: str) -> list[Row]:
    """What a share of each level allows on a dataset, a case or a mask; the same for all three."""
    managing = ("manage", "delete", *(("export",) if kind == "dataset" else ()))
    return [
        *[
            Row(obj=f"{kind} to {level}", action="view", may=BROWSERS)
            for level in ("view", "annotate", "manage")
        ],
        Row(obj=f"{kind} to view", action="annotate", sees=BROWSERS),
        Row(obj=f"{kind} to annotate", action="annotate", may=BROWSERS),
        Row(obj=f"{kind} to manage", action="annotate", may=BROWSERS),
        *[Row(obj=f"{kind} to annotate", action=action, sees=BROWSERS) for action in managing],
        *[Row(obj=f"{kind} to manage", action=a, may="data_manager", sees=BROWSERS) for a in managing],
    ]


def asked(obj: str, name: str, may: str, sees: str = "") -> Row:
    """The same question put to the site."""
    return Row(obj=obj, asks=f"GET cases:{name}", may=may, sees=sees)


ROWS: list[Row] = [
    *levels("dataset"),
    *levels("case"),
    *levels("mask"),
    Row(obj="datasets", action="view", may=BROWSERS),
    Row(obj="datasets", action="create", may="data_manager", sees=BROWSERS, asks="GET cases:dataset-create"),
    Row(obj="hidden dataset", action="view", asks="GET cases:dataset-detail"),
    Row(obj="hidden dataset", action="manage", asks="GET cases:import-new"),
    Row(obj="own dataset", action="view", may=BROWSERS, asks="GET cases:dataset-detail"),
    Row(obj="own dataset", action="manage", may="data_manager", sees=BROWSERS, asks="GET cases:import-new"),
    asked("dataset to view", "dataset-detail", BROWSERS),
    asked("dataset to view", "import-new", "", BROWSERS),
    asked("dataset to manage", "import-new", "data_manager", BROWSERS),
    *[
        Row(
            obj="dataset to manage",
            asks=f"POST cases:{name}",
            may="data_manager",
            sees=BROWSERS,
            accepts=(302, 400),
        )
        for name in ("dataset-share", "dataset-delete")
    ],
    asked("dataset to annotate", "dataset-edit", "", BROWSERS),
    Row(obj="cases", action="view", may=BROWSERS),
    Row(obj="hidden case", action="view", asks="GET cases:case-detail"),
    Row(obj="case to view", action="request", may=BROWSERS, asks="GET cases:case-detail"),
    Row(obj="own case", action="view", may=BROWSERS, asks="GET cases:case-detail"),
    Row(obj="own case", action="annotate", may=BROWSERS),
    Row(obj="own case", action="delete", may=BROWSERS),
    asked("case to manage", "case-edit", "data_manager", BROWSERS),
    asked("case to annotate", "case-edit", "", BROWSERS),
    asked("own case", "case-edit", BROWSERS),
    asked("hidden case", "case-edit", ""),
    Row(
        obj="case to manage",
        asks="POST cases:case-edit",
        may="data_manager",
        sees=BROWSERS,
        accepts=(400,),  # they may, but the row sends an empty form
    ),
    Row(obj="case to annotate", asks="POST cases:case-delete", sees=BROWSERS),
    Row(
        obj="case to manage",
        asks="POST cases:case-delete",
        may="data_manager",
        sees=BROWSERS,
        accepts=(302, 400),
    ),
    Row(obj="instance", action="view", may=BROWSERS),
    Row(obj="imports", action="view", may="data_manager"),
    Row(obj="import to view", action="view", asks="GET cases:import-detail"),
    Row(obj="import to manage", action="view", may="data_manager", asks="GET cases:import-detail"),
    Row(obj="import to manage", action="manage", may="data_manager"),
    Row(obj="import to manage", action="cancel", may="data_manager"),
    Row(obj="entry", action="view", may="data_manager"),
]
