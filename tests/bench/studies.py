"""What the measures of reader studies need inside the site's own records: `python -m tests.bench.studies`.

`prepare MANY ITEMS BROWSED` opens two studies and prints places and sessions of their readers; `report
READERS ITEMS` fills a large study with simulated readers, unblinds it, and times its report. Both print JSON.
"""

import itertools
import json
import sys
import time
from typing import Any

import django


def main(arguments: list[str]) -> int:
    """Do one of both on the home that the environment names."""
    django.setup()
    from tests import factories

    factories._numbers = itertools.count(time.time_ns())  # two runs on one home never share a name
    command, *numbers = arguments
    parts = {"prepare": prepare, "report": report}
    print(json.dumps(parts[command](*map(int, numbers))))
    return 0


def prepare(many: int, items: int, browsed: int) -> dict[str, Any]:
    """One study for readers who only answer, one for the browser."""
    from tests import factories, factories_taking

    people = [factories.person("annotator") for _ in range(many + 1)]
    answering = factories_taking.study(people, items=items)
    looking = factories.person("annotator")
    seen = factories_taking.study([looking], items=browsed)
    alone, *others = [_entry(answering, person) for person in people]
    return {"alone": alone, "many": others, "browsed": _entry(seen, looking)}


def _entry(reading: Any, person: Any) -> dict[str, str]:
    """A reader's place and a session of theirs."""
    from django.test import Client

    client = Client()
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    place = reading.places.get(user=person)
    place.experience = {"profession": "radiologist", "years": 5, "synthetic_seen": "some"}
    place.save(update_fields=["experience"])
    return {"place": str(place.pk), "session": client.cookies["sessionid"].value}


def report(readers: int, items: int) -> dict[str, float]:
    """Seconds for the whole document of a large unblinded study, and for its statistics alone."""
    from webapp.readings.freezing import reading_protocol
    from webapp.readings.gathering import ratings_of, showings_of
    from webapp.readings.report import document
    from webapp.readings.statistics.report import analyse

    reading = large_study(readers, items)
    began = time.perf_counter()
    made = document(reading)
    seconds = time.perf_counter() - began
    ratings, _undecided = ratings_of(showings_of(reading), reading_protocol(reading))
    began = time.perf_counter()
    analyse(ratings, margin=0.1)
    statistics = time.perf_counter() - began
    return {"seconds": seconds, "statistics": statistics, "answers": made["analysis"]["design"]["answers"]}


def large_study(readers: int, items: int) -> Any:
    """An unblinded study of that size, every reader having read every item once."""
    import numpy as np

    from tests import factories, factories_taking
    from webapp.readings.allocation import Slot
    from webapp.readings.freezing import freeze
    from webapp.readings.models import Assignment, Place, Preparation
    from webapp.readings.protocol import sha256_of
    from webapp.readings.services import reading_close, reading_unblind
    from webapp.readings.simulated import Behaviour, readers_simulate

    reading = factories_taking.study([], items=items)
    reading.is_simulated = True
    generator = np.random.default_rng(1)
    made = list(reading.items.order_by("number"))
    orders: dict[int, list[Slot]] = {}
    for number in range(1, readers + 1):
        place = Place.objects.create(
            reading=reading, user=factories.person("annotator"), number=number, invited_by=reading.owner
        )
        order = generator.permutation(len(made))
        Assignment.objects.bulk_create(
            Assignment(place=place, position=position, item=made[index])
            for position, index in enumerate(order)
        )
        orders[number] = [
            Slot(position=position, number=made[index].number, session=1, block=0)
            for position, index in enumerate(order)
        ]
    preparation = Preparation.objects.create(reading=reading, key="0" * 64, is_blocked=False)
    _protocol, reading.protocol = freeze(reading=reading, preparation=preparation, orders=orders)
    reading.protocol_sha256 = sha256_of(reading.protocol)
    reading.save()
    behaviours = [Behaviour(d_prime=float(generator.normal(0.8, 0.3))) for _ in range(readers)]
    readers_simulate(reading=reading, behaviours=behaviours, seed=1)
    closed = reading_close(user=reading.owner, reading=reading)
    return reading_unblind(user=reading.owner, reading=closed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
