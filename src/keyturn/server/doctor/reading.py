"""Gathers what the database tells: its version, clock and rights, and what its tables hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence, Set as AbstractSet
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from ...keys import KeyRing
from ...stores._rows import micros
from ...stores._sqlite_schema import APPLICATION_ID, VERSION
from .. import database
from ..argon2id import COST
from ..config import ServerConfig
from ..records import Account
from ..records._rows import ACCOUNT_COLUMNS, CLIENT_COLUMNS, account_or_key, client_or_id
from ..records._sqlite_file import VERSION as RECORDS_VERSION
from .asking import Asked, TroubleError, asked, in_use
from .facts import AccountFacts, ClientFacts, DatabaseFacts, SessionFacts

#: A key may begin to seal so much earlier by another process's clock.
_CLOCKS: Final = timedelta(minutes=1)
_WEEK: Final = timedelta(days=7)
_NAMED: Final = 5
_PHC: Final = re.compile(r"\$argon2id\$v=19\$m=(\d{1,9}),t=(\d{1,9}),p=\d{1,9}\$")
_LIVE: Final = "realm = :realm AND ended_at IS NULL AND idle_expires_at > :now AND expires_at > :now"
_SESSIONS: Final = f"""
    SELECT sum(CASE WHEN {_LIVE} THEN 1 ELSE 0 END),
           sum(CASE WHEN {_LIVE} AND coalesce(recovered_at, rotated_at) < :oldest THEN 1 ELSE 0 END),
           sum(CASE WHEN ended_at < :week OR idle_expires_at < :week OR expires_at < :week THEN 1 ELSE 0 END)
    FROM keyturn_session
"""  # noqa: S608 - constants
_ANNOUNCEMENTS: Final = "SELECT count(*) FROM keyturn_revocation WHERE until < :now"
_CLOCK_OF: Final = {
    "postgresql": "SELECT extract(epoch FROM clock_timestamp())",
    "mysql": "SELECT unix_timestamp(now(6))",
}
_TABLES: Final = ("keyturn_session", "keyturn_log", "keyturn_revocation", "keyturn_account", "keyturn_client")
_MAY: Final = ("SELECT", "INSERT", "UPDATE", "DELETE")
_RIGHTS: Final = "SELECT has_table_privilege(to_regclass(:name), :right) WHERE to_regclass(:name) IS NOT NULL"
_SUPERUSER: Final = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"


def database_facts(
    config: ServerConfig, clock: Callable[[], datetime], *, ring: KeyRing | None, client_ids: AbstractSet[str]
) -> tuple[DatabaseFacts, Sequence[ClientFacts]]:
    """Give what a database tells, and the clients that are registered in it.

    Args:
        config: which database.
        clock: this machine's.
        ring: the keys that are there.
        client_ids: of clients that are registered elsewhere.
    """
    path = database.sqlite_path(config.store)
    if config.store.startswith("memory:"):
        return DatabaseFacts(), ()
    if path is not None and not path.exists():
        return DatabaseFacts(exists=False), ()
    used = path is None or in_use(path)
    found = _read(config, clock, ring, client_ids)
    if found[0].trouble is not None and not used and path is not None and in_use(path):
        # Some server began to write while we looked without waiting for anybody: what was seen may be torn.
        return _read(config, clock, ring, client_ids)
    return found


def session_facts(config: ServerConfig, now: datetime, ring: KeyRing) -> SessionFacts | None:
    """Give what the sessions' table alone tells; None where it cannot be read.

    Args:
        config: which database.
        now: the time, aware UTC.
        ring: the keys that are there.
    """
    path = database.sqlite_path(config.store)
    if config.store.startswith("memory:") or (path is not None and not path.exists()):
        return None
    with suppress(TroubleError), asked(config.store) as one:
        return _sessions(one, config, now, ring)
    return None


def _read(
    config: ServerConfig, clock: Callable[[], datetime], ring: KeyRing | None, client_ids: AbstractSet[str]
) -> tuple[DatabaseFacts, Sequence[ClientFacts]]:
    try:
        with asked(config.store) as one:
            facts = _shape(one, config)
            if facts.trouble is not None or facts.at is None:
                return facts, ()
            facts = _rights(one, replace(facts, clock_off=_clock_off(one, clock)))
            clients = _clients(one)
            known = client_ids | {client.id for client in clients}
            sessions, accounts = _sessions(one, config, clock(), ring), _accounts(one, known)
            return replace(facts, sessions=sessions, accounts=accounts), clients
    except TroubleError as trouble:
        return DatabaseFacts(trouble=f"{trouble}."), ()


def _shape(one: Asked, config: ServerConfig) -> DatabaseFacts:
    if one.kind == "sqlite":
        return _file_shape(one)
    from ...stores.sqlalchemy.migrations import current
    from ...stores.sqlalchemy.migrations._running import newest_revision

    engine = database.migrating_engine(config.store)
    try:
        return DatabaseFacts(at=current(engine), newest=newest_revision() or "")
    finally:
        engine.dispose()


def _file_shape(one: Asked) -> DatabaseFacts:
    ((owner,),) = one.rows("PRAGMA application_id")
    ((version,),) = one.rows("PRAGMA user_version")
    newest = f"{VERSION:04}"  # spelled like the revisions of other databases, and ordered like numbers
    if owner == APPLICATION_ID:
        return DatabaseFacts(at=f"{version:04}", newest=newest, trouble=_damage(one) or _newer_records(one))
    if owner or version or any(one.rows("SELECT 1 FROM sqlite_master LIMIT 1")):
        return DatabaseFacts(trouble="the file holds something else than Keyturn's sessions.")
    return DatabaseFacts(newest=newest)


def _damage(one: Asked) -> str | None:
    ((said,),) = one.rows("PRAGMA quick_check(1)")
    return None if said == "ok" else "the file is damaged: restore it from a copy."


def _newer_records(one: Asked) -> str | None:
    with suppress(TroubleError):  # no such table yet
        ((version,),) = one.rows("SELECT version FROM keyturn_records")
        return "a newer Keyturn made the accounts' tables: update this program." if version > RECORDS_VERSION else None
    return None


def _clock_off(one: Asked, clock: Callable[[], datetime]) -> timedelta | None:
    if (statement := _CLOCK_OF.get(one.kind)) is None:
        return None  # a file has no clock but this machine's
    before = clock()
    ((seconds,),) = one.rows(statement)
    after = clock()
    middle = before + (after - before) / 2
    return timedelta(seconds=float(seconds) - middle.timestamp())


def _rights(one: Asked, facts: DatabaseFacts) -> DatabaseFacts:
    if one.kind == "postgresql":
        lacking = [
            f"{right} in {name}"
            for name in _TABLES
            for right in _MAY
            if (False,) in one.rows(_RIGHTS, {"name": name, "right": right})
        ]
        return replace(facts, lacking=lacking, all_powerful=(True,) in one.rows(_SUPERUSER))
    if one.kind == "mysql":
        granted = [str(row[0]).upper() for row in one.rows("SHOW GRANTS")]
        return replace(facts, all_powerful=any(each.startswith("GRANT ALL PRIVILEGES ON *.*") for each in granted))
    return facts


def _sessions(one: Asked, config: ServerConfig, now: datetime, ring: KeyRing | None) -> SessionFacts | None:
    sealing = [key.signs_from for key in ring.keys if key.purpose == "refresh"] if ring else []
    values = {
        "realm": config.settings.realm,
        "now": micros(now),
        "week": micros(now - _WEEK),
        "oldest": micros(min(sealing) - _CLOCKS) if sealing else 0,
    }
    with suppress(TroubleError):
        ((live, orphans, over),) = one.rows(_SESSIONS, values)
        ((announcements,),) = one.rows(_ANNOUNCEMENTS, {"now": micros(now)})
        return SessionFacts(
            live=int(live or 0), orphans=int(orphans or 0), over=int(over or 0), announcements=announcements
        )
    return None


def _accounts(one: Asked, client_ids: AbstractSet[str]) -> AccountFacts | None:
    with suppress(TroubleError):
        return summed(map(account_or_key, one.rows(f"SELECT {ACCOUNT_COLUMNS} FROM keyturn_account")), client_ids)  # noqa: S608 - constants
    return None


def summed(accounts: Iterable[Account | str], client_ids: AbstractSet[str]) -> AccountFacts:
    """Give what matters about all accounts; they may be a million, and none is kept.

    Args:
        accounts: each account, or the name of one whose row cannot be understood.
        client_ids: of all registered clients.
    """
    count = active = corrupt = without = weakly = 0
    damaged: list[str] = []
    doubles: list[str] = []
    for each in accounts:
        count += 1
        if isinstance(each, str):
            corrupt += 1
            damaged += [each] if corrupt <= _NAMED else []
            continue
        active += each.state == "active"
        without += each.state == "active" and each.password_hash is None
        weakly += each.password_hash is not None and is_weak_hash(each.password_hash)
        doubles += [each.subject] if each.subject in client_ids else []
    return AccountFacts(
        count=count, active=active, corrupt=corrupt, damaged=tuple(damaged), without_password=without,
        hashed_weakly=weakly, subjects_like_clients=tuple(doubles),
    )  # fmt: skip


def is_weak_hash(text: str) -> bool:
    """Say whether a PHC string costs an attacker less than one that is made today."""
    match = _PHC.match(text)
    return match is None or int(match[1]) < COST.memory or int(match[2]) < COST.passes


def _clients(one: Asked) -> Sequence[ClientFacts]:
    found: list[ClientFacts] = []
    with suppress(TroubleError):
        for row in one.rows(f"SELECT {CLIENT_COLUMNS} FROM keyturn_client"):  # noqa: S608 - constants
            client = client_or_id(row)
            if isinstance(client, str):
                found.append(ClientFacts(id=client, is_damaged=True))
            else:
                found.append(ClientFacts(id=client.id, digest=client.secret_digest))
    return found
