"""Gathers the facts: reads the key ring, the files' modes and the database, and changes none of them."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from ..._build import Chance
from ...errors import ConfigurationError
from ...keyrings.directory import look
from .. import database
from ..config import ServerConfig
from .facts import ClientFacts, DatabaseFacts, Facts, FileFacts, KeyFacts
from .reading import database_facts, session_facts
from .trial import failed_keys

#: An address that holds a password.
_WITH_PASSWORD: Final = re.compile(rb"://[^/@\s\"']*:[^/@\s\"']+@")


def gather(config: ServerConfig, chance: Chance = Chance()) -> Facts:  # noqa: B008 - a frozen value
    """Gather everything that can be known of an installation from here.

    Args:
        config: which one.
        chance: the clock and the entropy.
    """
    now = chance.clock()
    keys = _keys(config, chance, now)
    clients = [*_clients_of_file(config)]
    found, more = database_facts(config, chance.clock, ring=keys.ring, client_ids={each.id for each in clients})
    files = tuple(_files(config))
    return Facts(config=config, now=now, keys=keys, database=found, clients=(*clients, *more), files=files)


def gather_lost(config: ServerConfig, chance: Chance = Chance()) -> Facts:  # noqa: B008 - a frozen value
    """Gather what tells that a key file is missing, and no more.

    Args:
        config: whose.
        chance: the clock.
    """
    now = chance.clock()
    try:
        ring = look(config.keys)
    except ConfigurationError as error:
        return Facts(config=config, now=now, keys=KeyFacts(faults=error.faults))
    sessions = session_facts(config, now, ring)
    return Facts(config=config, now=now, keys=KeyFacts(ring=ring), database=DatabaseFacts(sessions=sessions))


def _keys(config: ServerConfig, chance: Chance, now: datetime) -> KeyFacts:
    try:
        ring = look(config.keys)
    except ConfigurationError as error:
        return KeyFacts(faults=error.faults)
    failed = failed_keys(ring, config.settings, now=now, entropy=chance.entropy)
    return KeyFacts(ring=ring, failed=failed, owners=_other_owners(config.keys))


def _other_owners(folder: Path) -> Sequence[str]:
    if sys.platform == "win32":
        return ()
    import pwd

    owners: set[str] = set()
    with suppress(OSError):
        for path in (folder, *folder.iterdir()):
            if (owner := path.stat().st_uid) != os.getuid():
                with suppress(KeyError):
                    owners.add(pwd.getpwuid(owner).pw_name)
    return sorted(owners)


def _clients_of_file(config: ServerConfig) -> Iterator[ClientFacts]:
    for client in config.configuration.clients:
        yield ClientFacts(id=client.id, digest=client.secret_digest)


def _files(config: ServerConfig) -> Iterator[FileFacts]:
    if sys.platform == "win32":  # no such bits there
        return
    if config.path is not None and _holds_password(config.path):
        yield from _mode(config.path, "configuration")
    if (file := database.sqlite_path(config.store)) is not None:
        for path in (file, *(file.with_name(file.name + tail) for tail in ("-wal", "-shm"))):
            yield from _mode(path, "database")
        yield from _mode(file.parent, "folder")


def _holds_password(path: Path) -> bool:
    with suppress(OSError):
        return _WITH_PASSWORD.search(path.read_bytes()) is not None
    return False


def _mode(path: Path, kind: str) -> Iterator[FileFacts]:
    with suppress(OSError):
        yield FileFacts(path=path, mode=stat.S_IMODE(path.stat().st_mode), kind=kind)
