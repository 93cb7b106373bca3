"""Judges the database, its clock, and what is in it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from typing import Final

from .facts import AccountFacts, DatabaseFacts, Facts
from .finding import Finding, broken, counted, note, ok, weak

#: Below this nobody's disk or statement minds.
_MANY_ROWS: Final = 10_000
#: What people write where a secret belongs.
_PLACEHOLDERS: Final = (
    "", "secret", "client_secret", "client-secret", "changeme", "change-me", "change_me", "password", "test", "admin",
    "keyturn", "todo", "xxx", "your-secret", "your_secret", "s3cr3t", "123456",
)  # fmt: skip


def about_database(facts: Facts) -> Iterator[Finding]:
    """Judge whether the database can be asked, and whether it is the one that this program knows."""
    database = facts.database
    if facts.config.store.startswith("memory:"):
        return
    if not database.exists:
        yield note("database", "There is no database yet.", "The first start, or `keyturn init`, makes it.")
        return
    if database.trouble is not None:
        yield broken("database", f"It cannot be used: {database.trouble}", "`store` in the table [server] names it.")
        return
    yield _version(facts)
    yield from _rights(database)
    yield from _clock(facts)
    yield from _backlog(database)


def about_accounts(facts: Facts) -> Iterator[Finding]:
    """Judge the accounts."""
    accounts = facts.database.accounts
    if accounts is None:
        return
    if not accounts.count:
        yield note("accounts", "There are none yet.", "keyturn users create NAME")
        return
    if not accounts.active:
        yield note(
            "accounts", f"None of {accounts.count} is active: nobody can sign in.", "keyturn users activate NAME"
        )
    else:
        yield ok("accounts", f"{accounts.active} of {accounts.count} are active.")
    yield from _bad_rows(accounts)


def about_clients(facts: Facts) -> Iterator[Finding]:
    """Judge the registered clients."""
    for client in facts.clients:
        if client.is_damaged:
            yield broken(
                "clients",
                f"The row of client {client.id} cannot be understood: no server knows this client.",
                f"Restore it from a copy of the database, or keyturn clients remove {client.id}, and add it again.",
            )
        if client.digest is not None and is_placeholder(client.digest, client.id):
            yield broken(
                "clients",
                f"The secret of client {client.id} is one that everybody guesses.",
                f"keyturn clients remove {client.id}, and add it again: it is given a random one.",
            )
    for client_id in facts.database.accounts.subjects_like_clients if facts.database.accounts else ():
        yield broken(
            "clients",
            f"Client {client_id} has the id of a user: its tokens could be taken for theirs.",
            "Give the client another id.",
        )


def is_placeholder(digest: str, client_id: str) -> bool:
    """Say whether a digest is that of a word that people write where a secret belongs."""
    words = {*_PLACEHOLDERS, client_id, f"{client_id}-secret"}
    return digest.lower() in {sha256(word.encode()).hexdigest() for word in words}


def _version(facts: Facts) -> Finding:
    at, newest = facts.database.at, facts.database.newest
    if at is None:
        return note("database", "It has no tables of ours yet.", "The first start makes them.")
    if at > newest:
        return broken(
            "database",
            f"A newer Keyturn made its tables (version {at}; this one knows {newest}).",
            "Update this program.",
        )
    if at < newest and not facts.config.migrate:
        return broken(
            "database",
            f"Its tables have version {at}, this program needs {newest}, and migrate is off.",
            "Run `python -m keyturn.stores.sqlalchemy upgrade URL`, or migrate = true.",
        )
    if at < newest:
        return note("database", f"Its tables have version {at}, and {newest} is known.", "The next start updates them.")
    return ok("database", f"It answers, and its tables have version {at}.")


def _rights(database: DatabaseFacts) -> Iterator[Finding]:
    if database.lacking:
        yield broken(
            "database",
            f"The user of its address may not {', '.join(database.lacking)}.",
            "GRANT SELECT, INSERT, UPDATE, DELETE on the tables keyturn_* to it.",
        )
    if database.all_powerful:
        yield weak(
            "database",
            "The user of its address may do anything on that server.",
            "Give Keyturn a user of its own, who owns one database.",
        )


def _clock(facts: Facts) -> Iterator[Finding]:
    off = facts.database.clock_off
    if off is None:
        return
    # Issuers' clocks agree within half the leeway, but never less than a second is demanded.
    allowed = max(timedelta(seconds=1), facts.config.settings.leeway / 2)
    if abs(off) > allowed:
        ahead = "ahead of" if off > timedelta(0) else "behind"
        yield broken(
            "clock",
            f"The database's clock is {abs(off).total_seconds():.1f} s {ahead} this machine's; "
            f"{allowed.total_seconds():g} s are allowed.",
            "Let both take the time from the network (NTP). Tokens would be refused, and retries taken for theft.",
        )
    else:
        yield ok("clock", f"It agrees with the database's within {abs(off).total_seconds():.1f} s.")


def _backlog(database: DatabaseFacts) -> Iterator[Finding]:
    sessions = database.sessions
    if sessions is None:
        return
    yield ok("database", f"{counted(sessions.live, 'session lives', 'sessions live')}.")
    for count, what in ((sessions.over, "sessions have been over for a week"), (sessions.announcements, "announcements of the log are needed no more")):  # fmt: skip
        if count >= _MANY_ROWS:
            yield note("database", f"{count} {what}.", "Run `keyturn purge` every day, by a timer.")


def _bad_rows(accounts: AccountFacts) -> Iterator[Finding]:
    if accounts.corrupt:
        names = ", ".join(accounts.damaged)
        more = (
            f" and {accounts.corrupt - len(accounts.damaged)} more" if accounts.corrupt > len(accounts.damaged) else ""
        )
        whose = "This user" if accounts.corrupt == 1 else "These users"
        yield broken(
            "accounts",
            f"{counted(accounts.corrupt, 'row', 'rows')} cannot be understood: {names}{more}. {whose} cannot sign in.",
            "Restore them from a copy of the database, or delete the rows and create the users anew.",
        )
    if accounts.without_password:
        yield note(
            "accounts",
            f"{counted(accounts.without_password, 'active one has', 'active ones have')} no password.",
            "keyturn users set-password NAME",
        )
    if accounts.hashed_weakly:
        yield note(
            "accounts",
            f"{counted(accounts.hashed_weakly, 'password is', 'passwords are')} hashed more weakly than a new one.",
            "Each is hashed anew when its owner signs in; suspend accounts that nobody uses.",
        )
