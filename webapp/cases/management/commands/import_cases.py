"""Imports a folder, a zip or a file into a dataset and prints what became of each file."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from webapp.accounts.models import Role, User
from webapp.cases.models import Dataset, ImportState, Outcome
from webapp.cases.services import dataset_create, import_execute, import_start
from webapp.core.errors import ApplicationError
from webapp.core.permissions import can


class Command(BaseCommand):
    """`manage.py import_cases PATH --dataset NAME`: the same import as on the page, done in place."""

    help = "Import DICOM, NIfTI, PNG or JPEG from a folder, a zip or a file into a dataset."

    def add_arguments(self, parser: CommandParser) -> None:
        """Name the options."""
        parser.add_argument("path", help="a folder, a zip or a single file")
        parser.add_argument("--dataset", required=True, help="the dataset's name; made where there is none")
        parser.add_argument("--user", help="who imports (a data manager); by default the dataset's owner")
        parser.add_argument("--licence", default="", help="the licence of a newly made dataset")
        parser.add_argument("--quiet", action="store_true", help="print the counts and refusals only")

    def handle(self, *args: Any, **options: Any) -> None:
        """Import, then print the report."""
        path = Path(options["path"]).expanduser()
        if not path.exists():
            raise CommandError(f"There is nothing at {path}.")
        existing = Dataset.objects.filter(name=options["dataset"]).first()
        user = self._user(options["user"], existing)
        try:
            dataset = existing or dataset_create(
                user=user, name=options["dataset"], licence=options["licence"]
            )
            if not can(user, "manage", dataset):
                raise CommandError(f"{user} may not import into this dataset.")
            run = import_start(
                user=user, dataset=dataset, path=path, source_name=path.resolve().name, in_background=False
            )
            run = import_execute(run_id=run.pk, on_step=self._progress(options["verbosity"]))
        except ApplicationError as error:
            raise CommandError(str(error)) from error
        for entry in run.entries.select_related("case"):
            if not options["quiet"] or entry.outcome == Outcome.REFUSED:
                case = f" [{entry.case.name}]" if entry.case else ""
                self.stdout.write(f"{entry.get_outcome_display():<15} {entry.path}{case}  {entry.reason}")
        self.stdout.write(
            f"{run.taken} taken, {run.changed} taken and changed, {run.duplicate} already here, "
            f"{run.refused} refused, into {dataset.name} ({dataset.cases.count()} cases)."
        )
        if run.state == ImportState.FAILED:
            raise CommandError(run.message)

    def _user(self, name: str | None, dataset: Dataset | None) -> User:
        if name:
            user = User.objects.filter(username=name).first()
            if user is None:
                raise CommandError(f"There is nobody with the user name {name}.")
            return user
        if dataset is not None:
            return dataset.owner
        managers = User.objects.filter(role_grants__role=Role.DATA_MANAGER, is_active=True)
        user = managers.order_by("date_joined").first() or User.objects.filter(is_superuser=True).first()
        if user is None:
            raise CommandError("There is no data manager yet: make one, or name somebody with --user.")
        return user

    def _progress(self, verbosity: int) -> Any:
        def show(done: int, total: int, message: str) -> None:
            if verbosity > 1:
                self.stderr.write(f"{done}/{total} {message}")

        return show
