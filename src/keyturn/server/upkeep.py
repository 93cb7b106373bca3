"""Deletes what has been over for a day, now and then, in a thread of the process that watches over the others."""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import Final

from ..errors import KeyturnError, kind_and_place
from .config import ServerConfig
from .installation import Installation

#: Whoever asks what became of a session mostly asks on the same day.
KEPT: Final = timedelta(days=1)
#: Between two steps: refreshes come first, and nothing is in a hurry here.
_BREATH_SECONDS: Final = 0.05
#: The first round comes soon, for servers that are started anew every few minutes; but not into the rush of a start.
_FIRST_SECONDS: Final = 60.0
_log: Final = logging.getLogger("keyturn.server")


class _StoppedError(Exception):
    """The server ends; what is left over is for another day."""


@contextmanager
def purging(config: ServerConfig, *, first_seconds: float = _FIRST_SECONDS) -> Generator[None]:
    """Purge in the background for the length of a ``with`` block.

    One process of a server does so, however many workers there are. Several servers on one database each do: a row is
    deleted by one of them, and the others find nothing.

    Args:
        config: says how often; not at all where that is 0, or where the store is this process's memory.
        first_seconds: when the first time is.
    """
    if not config.purge_seconds or config.store.startswith("memory:"):
        yield
        return
    ending = threading.Event()
    first = min(first_seconds, config.purge_seconds)
    thread = threading.Thread(target=_keep_purging, args=(config, first, ending), name="keyturn-purge", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join(config.grace_seconds)


def _keep_purging(config: ServerConfig, first_seconds: float, ending: threading.Event) -> None:
    wait = first_seconds
    while not ending.wait(wait):
        wait = config.purge_seconds
        try:
            purge_once(config, ending)
        except _StoppedError:
            return
        except KeyturnError as error:
            _log.warning("old sessions could not be deleted: %s", error.cause or error.message)
        except Exception as error:  # noqa: BLE001 - a database's own fault must not end the server
            _log.warning("old sessions could not be deleted: %s", kind_and_place(error))


def purge_once(config: ServerConfig, ending: threading.Event) -> int:
    """Delete sessions that have been over for a day; give how many."""

    def breathe(_count: int) -> None:
        if ending.wait(_BREATH_SECONDS):
            raise _StoppedError

    with closing(Installation(config)) as installation:
        before = installation.chance.clock() - KEPT
        gone: int = installation.sessions.purge(before=before, progress=breathe)
    if gone:
        _log.info("deleted %d sessions that were over before %s", gone, before.isoformat(timespec="seconds"))
    return gone
