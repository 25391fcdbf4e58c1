"""The sole reader of the process environment."""

import os
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit


def text(name: str, default: str = "") -> str:
    """The variable's value without surrounding blanks, or the default where it is unset or empty."""
    return os.environ.get(name, "").strip() or default


def flag(name: str, default: bool = False) -> bool:
    """A yes-or-no variable.

    Raises:
        ValueError: when the value is none of 1/0, true/false, yes/no, on/off.
    """
    value = text(name).lower()
    if not value:
        return default
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off"}:
        return False
    raise ValueError(f"{name} must be one of 1, 0, true, false, yes, no, on, off; got {value!r}")


def number(name: str, default: int) -> int:
    """A whole-number variable.

    Raises:
        ValueError: when the value is not a whole number.
    """
    value = text(name)
    if not value:
        return default
    try:
        return int(value)
    except ValueError as error:
        raise ValueError(f"{name} must be a whole number; got {value!r}") from error


def seconds(name: str, default: float) -> float:
    """A length of time.

    Raises:
        ValueError: when the value is not a positive number.
    """
    value = text(name)
    if not value:
        return default
    try:
        length = float(value)
    except ValueError:
        length = 0.0
    if not 0.0 < length < float("inf"):
        raise ValueError(f"{name} must be a positive number of seconds; got {value!r}")
    return length


def words(name: str, default: tuple[str, ...] = ()) -> list[str]:
    """A comma-separated variable as a list."""
    value = text(name)
    return [word.strip() for word in value.split(",") if word.strip()] if value else list(default)


def folder(name: str, default: Path) -> Path:
    """A folder, absolute."""
    return Path(text(name, str(default))).expanduser().resolve()


def database(url: str, *, home: Path) -> dict[str, object]:
    """Django's database entry for ``sqlite:///path`` or ``postgresql://user:pass@host:port/name?host=/socket``.

    Raises:
        ValueError: for any other scheme.
    """
    if not url:
        return _sqlite(home / "db.sqlite3")
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return _sqlite(Path(unquote(parts.path)))
    if parts.scheme in {"postgres", "postgresql"}:
        options = dict(parse_qsl(parts.query))
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": unquote(parts.path.lstrip("/")),
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": options.pop("host", parts.hostname or ""),
            "PORT": str(parts.port or ""),
            "CONN_MAX_AGE": 60,
            "CONN_HEALTH_CHECKS": True,
            "OPTIONS": options,
        }
    raise ValueError(f"DATABASE_URL must begin with sqlite:// or postgresql://; got {parts.scheme!r}")


def _sqlite(path: Path) -> dict[str, object]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path,
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
        # A file, not memory: the tests' workers and site are processes of their own.
        "TEST": {"NAME": path.with_name("test-" + path.name)},
    }
