"""Work is handed to whatever service the settings name."""

import uuid

from webapp.core import work

taken = []


def take(**arguments: object) -> str:
    taken.append(arguments)
    return "job"


def test_the_service_of_the_settings_gets_the_work(settings) -> None:
    settings.JOB_SUBMIT = f"{__name__}.take"
    subject = uuid.uuid4()
    job = work.submit(
        kind="import_cases",
        owner="ada",
        payload={"run": "1"},
        subject_type="cases.ImportRun",
        subject_id=subject,
    )
    assert job == "job"
    assert taken == [
        {
            "kind": "import_cases",
            "owner": "ada",
            "payload": {"run": "1"},
            "subject_type": "cases.ImportRun",
            "subject_id": subject,
            "priority": 0,
        }
    ]


def test_the_jobs_app_takes_it_by_default(settings) -> None:
    from django.utils.module_loading import import_string

    assert callable(import_string(settings.JOB_SUBMIT))
