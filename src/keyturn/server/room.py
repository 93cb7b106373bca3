"""How many connections a process has room for: each is an open file, and the system bounds those."""

from __future__ import annotations

from functools import cache
from typing import Final

try:
    import resource
except ImportError:  # Windows has no such bound
    resource = None  # type: ignore[assignment]

#: Connections that may wait to be taken: a storm of clients that come back all at once.
BACKLOG: Final = 2048
#: Beyond it a limit on open files says nothing about what a machine can bear.
_MOST_FILES: Final = 65_536
#: For the database, keys, the log and the interpreter's own.
_OTHER_FILES: Final = 100
#: With 16 KiB of header fields each, some 250 MB.
_MOST_CONNECTIONS: Final = 10_000


def raise_limit() -> None:
    """Let this process, and those that it starts, open as many files as the system lets them, within reason."""
    if resource is None:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@cache  # asked at every connection; nobody changes the limit of a process that serves
def most_connections() -> int:
    """Give how many connections this process keeps open."""
    if resource is None:
        return _MOST_CONNECTIONS
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_CONNECTIONS if soft == resource.RLIM_INFINITY else room_in(soft)


def room_in(files: int) -> int:
    """Give how many connections a limit on open files leaves room for.

    A whole backlog is taken at once, before the first of them that is too many can be closed.
    """
    return min(_MOST_CONNECTIONS, max(files - _OTHER_FILES - BACKLOG, files // 2 - min(_OTHER_FILES, files // 8)))
