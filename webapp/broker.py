"""Messages in a folder, for sites without Redis: each appears whole, or not at all."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from time import monotonic
from typing import Any

from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.utils.json import dumps


class Channel(filesystem.Channel):
    """kombu's, but for writing.

    kombu opens a message's file under its final name and fills it afterwards; a worker that looks in
    between reads nothing where it expects JSON, and ends.
    """

    def _put(self, queue: Any, payload: Any, **kwargs: Any) -> None:  # type: ignore[override]
        """Put a message on a queue: written under a name that nobody looks for, then renamed."""
        name = f"{round(monotonic() * 1000)}_{uuid.uuid4()}.{queue}.msg"
        part = Path(self.data_folder_out) / f"{name}.part"
        try:
            part.write_bytes(dumps(payload).encode())
            os.replace(part, part.with_suffix(""))
        except OSError as error:
            raise ChannelError(f"Cannot add {name} to {self.data_folder_out}") from error


class Transport(filesystem.Transport):
    """The transport of these channels."""

    Channel = Channel
    # As kombu's, one for all connections of a process.
    global_state = filesystem.Transport.global_state
