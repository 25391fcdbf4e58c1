"""Writes a dataset into a folder: images, masks, attributes and splits by patient (docs/export.md)."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.http import Http404

from synthesis.patient_splits import SHARES, SPLITS
from webapp.accounts.models import User
from webapp.cases.exporting.write import FORMS
from webapp.cases.models import Dataset
from webapp.cases.services import dataset_export
from webapp.core.errors import ApplicationError
from webapp.core.permissions import can


class Command(BaseCommand):
    """`manage.py export_dataset NAME OUT`: the same files as in the page's zip; training reads them."""

    help = "Write a dataset into a folder: images, masks, attributes (CSV) and splits by patient."

    def add_arguments(self, parser: CommandParser) -> None:
        """Name the options."""
        parser.add_argument("name", help="the dataset's name")
        parser.add_argument("out", help="a folder that is empty or not there yet")
        parser.add_argument("--form", choices=FORMS, default="nifti", help="default: %(default)s")
        parser.add_argument("--user", help="who exports (may manage it); by default the dataset's owner")
        parser.add_argument("--seed", type=int, default=0, help="draws other splits (default: %(default)s)")
        parser.add_argument(
            "--shares",
            type=float,
            nargs=3,
            default=SHARES,
            metavar=SPLITS,
            help=f"parts of the patients (default: {' '.join(map(str, SHARES))})",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Export, then say what was written."""
        dataset = Dataset.objects.filter(name=options["name"]).select_related("owner").first()
        if dataset is None:
            known = ", ".join(Dataset.objects.order_by("name").values_list("name", flat=True)) or "none"
            raise CommandError(f"There is no dataset “{options['name']}”. There are: {known}.")
        user = self._user(options["user"], dataset)
        folder = Path(options["out"]).expanduser()
        shares = tuple(options["shares"])
        if min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
            raise CommandError(f"The shares must add up to 1; {' + '.join(map(str, shares))} does not.")
        try:
            written = dataset_export(
                user=user,
                dataset=dataset,
                folder=folder,
                form=options["form"],
                seed=options["seed"],
                shares=shares,
                on_step=self._progress(options["verbosity"]),
            )
        except (ApplicationError, Http404) as error:
            raise CommandError(str(error)) from error
        counts = {split: sum(row["split"] == split for row in written.cases) for split in SPLITS}
        for one in written.left_out:
            self.stdout.write(f"Left out: {one['name']}: {one['why']}")
        self.stdout.write(
            f"{len(written.cases)} cases ({', '.join(f'{n} {split}' for split, n in counts.items())}) and "
            f"{len(written.masks)} masks of {dataset.name}, version {dataset.version}, are in {folder}."
        )

    def _user(self, name: str | None, dataset: Dataset) -> User:
        user = User.objects.filter(username=name).first() if name else dataset.owner
        if user is None:
            raise CommandError(f"Nobody signs in as “{name}”.")
        if not can(user, "export", dataset):
            raise CommandError(f"{user} may not export this dataset; it takes the right to manage it.")
        return user

    def _progress(self, verbosity: int) -> Any:
        def show(done: int, total: int, message: str) -> None:
            if verbosity > 1:
                self.stderr.write(f"{done}/{total} {message}")

        return show
