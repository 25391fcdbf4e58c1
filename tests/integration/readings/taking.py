"""A reader's browser, as short calls: resume, state, answer; everything goes through the addresses."""

import json
import uuid
from typing import Any

from django.urls import reverse


class Browser:
    """One page of one reader."""

    def __init__(self, client: Any, place: Any) -> None:
        self.client, self.place, self.page = client, place, str(uuid.uuid4())

    def address(self, name: str, **more: Any) -> str:
        return reverse(f"readings:take-{name}", kwargs={"place_id": self.place.pk, **more})

    def post(self, address: str, body: Any) -> Any:
        data = body if isinstance(body, bytes) else json.dumps(body)
        return self.client.post(address, data, content_type="application/json")

    def resume(self) -> Any:
        return self.post(self.address("resume"), {"page": self.page})

    def pause(self) -> Any:
        return self.post(self.address("pause"), {"page": self.page})

    def finish(self) -> Any:
        return self.post(self.address("finish"), {"page": self.page})

    def state(self, **query: Any) -> dict[str, Any]:
        return self.client.get(self.address("state"), {"page": self.page, **query}).json()

    def send(self, token: str, answers: dict[str, Any], **more: Any) -> Any:
        body = {
            "page": self.page,
            "submission": str(uuid.uuid4()),
            "answers": answers,
            "seconds": 2.5,
            "is_complete": True,
        }
        return self.post(self.address("answers", token=token), body | more)

    def rate(self, token: str, score: int = 4, **more: Any) -> Any:
        value: dict[str, Any] = {"score": score}
        if score == 3:
            value["synthetic"] = True
        return self.send(token, {"real_or_synthetic": value}, **more)

    def read_all(self, score: int = 4) -> dict[str, Any]:
        """Answer every item of what is open; the last reply."""
        reply: dict[str, Any] = {"state": self.resume().json()}
        while reply["state"]["phase"] == "reading":
            reply = self.rate(reply["state"]["items"][0]["token"], score).json()
        return reply
