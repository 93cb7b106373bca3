"""The server's log: one line for each record, as JSON or for people, that holds no secret and that nobody can forge."""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final, TextIO

from ..errors import KeyturnError
from .blanking import blanked, visible

#: Under this name a record carries what stands beside its message.
FIELDS: Final = "keyturn_fields"
#: 64 bits of a digest: enough to tell the sessions of a log apart.
_MARK_CHARACTERS: Final = 16
#: Libraries that show values of rows, keep access logs of their own, or talk of themselves, below this level.
_QUIET: Final = {"sqlalchemy.engine": logging.WARNING, "uvicorn.access": logging.CRITICAL, "alembic": logging.WARNING}
#: What is written as it is in the text format; anything else stands in quotation marks.
_PLAIN: Final = re.compile(r"[\w.:/@+{}-]+")
#: What a flood of connections would write once for each, and more, while there is nothing new to say.
_FLOODS: Final = ("socket.accept() out of system resource", "more than %d connections are open")
_encode: Final = json.JSONEncoder(ensure_ascii=True, default=str).encode
_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def session_mark(session_id: str) -> str:
    """Give what a log calls a session: 16 hexadecimal digits of the SHA-256 of its id.

    It needs no key, since an id holds 112 random bits. ``keyturn sessions list --json`` shows the same marks.
    """
    return sha256(session_id.encode("utf-8", "replace")).hexdigest()[:_MARK_CHARACTERS]


def configure(format: str = "json", level: str = "info", stream: TextIO | None = None) -> None:  # noqa: A002 - the setting's own word
    """Lead the logs of the whole process to one place: ours, uvicorn's, SQLAlchemy's and everybody's.

    Args:
        format: ``json`` or ``text``.
        level: ``debug``, ``info``, ``warning`` or ``error``.
        stream: where to; standard error where left out.
    """
    handler = QuietHandler(stream or sys.stderr)
    handler.addFilter(Seldom())
    handler.setFormatter(JsonFormatter() if format == "json" else TextFormatter())
    for logger in _loggers():
        _let_go(logger)
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(_LEVELS[level])
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(max(least, _LEVELS[level]))
    logging.captureWarnings(True)  # noqa: FBT003 - the standard library's own signature


def _loggers() -> list[logging.Logger]:
    known = list(logging.Logger.manager.loggerDict.values())
    return [logging.getLogger(), *(each for each in known if isinstance(each, logging.Logger))]


def _let_go(logger: logging.Logger) -> None:
    """Take a logger's own handlers away, so that every record comes to ours, and only there."""
    if any(not isinstance(handler, logging.NullHandler) for handler in logger.handlers):
        logger.handlers.clear()
        logger.propagate = True


class Seldom(logging.Filter):
    """Lets a record that comes in floods through once a second."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a record is written."""
        flood = next((each for each in _FLOODS if str(record.msg).startswith(each)), None)
        if flood is None:
            return True
        if 0 <= record.created - self._last.get(flood, -1) < 1:
            return False
        self._last[flood] = record.created
        return True


class QuietHandler(logging.StreamHandler[TextIO]):
    """Writes to a stream; a record that cannot be written is named and never shown.

    The standard handler would print the record's arguments to standard error, and with them what they hold.
    """

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        """Say that a record was lost, and nothing of what it held."""
        kind = sys.exc_info()[0]
        lost = logging.LogRecord(
            "keyturn", logging.ERROR, "", 0, "a record of %s could not be written: %s",
            (record.name, kind.__name__ if kind else "?"), None,
        )  # fmt: skip
        with suppress(Exception):  # the stream is gone: there is nobody to tell
            self.stream.write(self.format(lost) + self.terminator)


class JsonFormatter(logging.Formatter):
    """One JSON object a line, ASCII only: a line break in a value is an escape."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line of a record."""
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": blanked(record.getMessage()),
            **{name: _shown(value) for name, value in getattr(record, FIELDS, {}).items()},
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = blanked(told(record.exc_info[1]))
        return _encode(line)


class TextFormatter(logging.Formatter):
    """A line for people: time, level, logger, message, and what stands beside it as name=value."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line of a record; an exception follows in lines of their own, each with a mark before it."""
        fields = [f"{name}={_text(_shown(value))}" for name, value in getattr(record, FIELDS, {}).items()]
        message = visible(blanked(record.getMessage()))
        line = " ".join([_time(record), f"{record.levelname:<7}", record.name, message, *fields])
        if record.exc_info and record.exc_info[1] is not None:
            places = blanked(told(record.exc_info[1])).splitlines()
            line += "".join(f"\n  | {visible(place)}" for place in places)
        return line


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _shown(value: object) -> object:
    return blanked(value) if isinstance(value, str) else value


def _text(value: object) -> str:
    text = str(value)
    return (
        text
        if _PLAIN.fullmatch(text)
        else json.dumps(text, ensure_ascii=False)
        if text.isprintable()
        else json.dumps(text)
    )


def told(error: BaseException) -> str:
    """Give what a log may know of an exception: its kind and its place, those of its causes; the words of ours alone.

    What others wrote into theirs may repeat a password, which looks like nothing in particular.
    """
    chain: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        chain.append(_one(current))
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return "\nafter ".join(chain)


def _one(error: BaseException) -> str:
    words = ""
    if isinstance(error, KeyturnError):
        words = f": {error.cause or error.message}"
    elif isinstance(error, OSError) and error.strerror:
        words = f": {error.strerror}"
    inner = [_one(each) for each in error.exceptions] if isinstance(error, BaseExceptionGroup) else []
    places = "".join(traceback.format_tb(error.__traceback__))
    return "\nwith ".join([f"{type(error).__name__}{words}\n{places}".rstrip(), *inner])
