"""YAML that somebody else wrote, read as plain values: texts, numbers, lists and names with values."""

from __future__ import annotations

import json
from typing import Any

import yaml


def read_plain_yaml(text: str) -> Any:
    """The values of a YAML text, as JSON has them; dates and the like are texts.

    Aliases are refused before anything is built, since a few lines of them can stand for more values than
    any memory holds.

    Raises:
        ValueError: in a plain sentence, where the text is not YAML, holds an alias, or a number that is none.
    """
    try:
        repeats = any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text))
        found = None if repeats else json.dumps(yaml.safe_load(text), default=str, allow_nan=False)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise ValueError("This is not YAML that can be read.") from error
    if found is None:
        raise ValueError("Aliases (*name) are not taken in this YAML. Write their values out.")
    return json.loads(found)
