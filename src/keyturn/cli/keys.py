"""``keyturn keys``: the key ring on disk, looked at and changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

import click

from .._algorithms import SIGNING
from .._build import random_bytes, utc_now
from ..errors import ConfigurationError
from ..keyrings.directory import DirectoryKeys, look
from ..keys import Key, KeyRing, Purpose, rotate_access, rotate_refresh
from ..server import database
from ..server.config import ServerConfig
from ..server.installation import make_private
from ._common import ConfigFile, Noun, config_option, confirm, json_option, refuse, say, table, yes_option

_COLUMNS: Final = ("id", "purpose", "algorithm", "state", "created_at", "signs_from", "good_until")
_ALGORITHM: Final = click.Choice(list(SIGNING), case_sensitive=False)

_HELP: Final = """Look at the key ring, and change it.

Access keys sign access tokens, refresh keys seal refresh tokens; both are files in one folder, and never in the
database. A running server sees a change within a minute and needs no restart.

\b
    keyturn keys list                        what is there, and what each key does now
    keyturn keys rotate                      a new key for access tokens
    keyturn keys rotate --purpose refresh    a new key for refresh tokens
    keyturn keys jwks                        the public keys, for those who verify
"""

_LIST: Final = """List the keys: what each is for, what it does now, and how long it is good.

A key is next (published, not yet signing), current, or retiring (what it signed is still good, it signs no more).
Nothing secret is shown, nothing is changed.

\b
    keyturn keys list
    keyturn keys list --json | jq -r '.[] | select(.state == "current") | .id'
"""

_GENERATE: Final = """Make the first keys: one for access tokens, one for refresh tokens.

The server does so itself at its first start; this is for a machine that is prepared before, or for choosing an
algorithm. Where there are keys nothing is changed, and the exit code is 0 all the same. Files have mode 0600, and no
key is ever printed.

\b
    keyturn keys generate
    keyturn keys generate --algorithm Ed25519
    keyturn keys generate --dry-run          say where and which, and make nothing
"""

_ROTATE: Final = """Add a key that takes over by itself; no valid token is ever refused.

A new access key is published at once and signs seven minutes later, when nobody holds an older copy of the public
keys; a new refresh key seals after two minutes. The former ones stay good for as long as what they signed. Every few
months is often enough. There is room for 256 refresh keys in 400 days, so not every day for those.

\b
    keyturn keys rotate
    keyturn keys rotate --purpose both
    keyturn keys rotate --algorithm Ed25519  change over to another algorithm
"""

_REMOVE: Final = """Take a key out at once: for one that somebody else may have.

What an access key signed is refused from then on, within five minutes where others hold a copy of the public keys;
clients refresh and go on. Whose session a refresh key sealed must sign in again. Where it was the current one, the next
or else a fresh one takes over at once. To replace a key that nobody stole, rotate.

\b
    keyturn keys list                        tells the ids
    keyturn keys remove 3                    refresh key 3, after a question
    keyturn keys remove bVo5xD… --yes        an access key, without one
"""

_JWKS: Final = """Print the public keys as a JWK set (RFC 7517), as the server publishes it.

For services that verify tokens and cannot fetch /.well-known/jwks.json. Copies grow old: fetch it again at least every
five minutes, or a rotation will leave you behind.

\b
    keyturn keys jwks > jwks.json
"""


@click.group(cls=Noun, help=_HELP, short_help="The key ring: list, generate, rotate, remove, jwks.")
def keys() -> None:
    """Gather the commands."""


@keys.command("list", help=_LIST, short_help="List the keys and what each does now.")
@config_option
@json_option
def list_keys(config: ConfigFile, as_json: bool) -> None:  # noqa: FBT001 - click hands it by name
    """Print the ring."""
    place, now = config.load().keys, utc_now()
    ring = _ring_at(config.load())
    table(_COLUMNS, (_row(ring, key, now) for key in ring.keys), as_json)
    for each in () if as_json else ring.spent:
        say(f"Refresh key {each.id} was removed; its number is free again on {each.until:%Y-%m-%d}.")
    if not as_json:
        say(f"In {place}.")


@keys.command(help=_GENERATE, short_help="Make the first keys.")
@config_option
@click.option("--algorithm", type=_ALGORITHM, help="For access tokens; the configured one where left out.")
@click.option("--dry-run", is_flag=True, help="Make nothing.")
@yes_option
def generate(config: ConfigFile, algorithm: str | None, dry_run: bool, yes: bool) -> None:  # noqa: FBT001 - as above
    """Make the ring where there is none."""
    read = config.load()
    chosen = algorithm or read.settings.algorithm
    ring = look(read.keys)
    if ring.has("access") and ring.has("refresh"):
        _say_they_are_there(read, ring, algorithm)
        return
    if dry_run:
        say(f"Keys would be made in {read.keys}: {chosen} for access tokens, 32 random bytes for refresh tokens.")
        return
    _ask_before_a_fresh_start(read, yes=yes)
    make_private(read.keys.parent)
    made = DirectoryKeys(read.keys, algorithm=chosen).ring
    for key in made.keys:
        say(f"{key.purpose} key {key.id} ({key.algorithm}) signs at once.")
    say(f"In {read.keys}. Keep a copy where you keep secrets: without the refresh keys everybody is signed out.")


@keys.command(help=_ROTATE, short_help="Add a key that takes over by itself.")
@config_option
@click.option(
    "--purpose", type=click.Choice(["access", "refresh", "both"]), default="access", show_default=True,
    help="Which tokens the new key is for.",
)  # fmt: skip
@click.option("--algorithm", type=_ALGORITHM, help="For access tokens; that of the current key where left out.")
def rotate(config: ConfigFile, purpose: str, algorithm: str | None) -> None:
    """Add keys."""
    if algorithm and purpose == "refresh":
        raise click.UsageError("--algorithm is for access keys; refresh keys have but one.")
    read = config.load()
    _ring_at(read)
    source = DirectoryKeys(read.keys)
    wanted: list[Purpose] = ["access", "refresh"] if purpose == "both" else [purpose]  # type: ignore[list-item]
    for each in wanted:
        _rotate(source, each, algorithm)


@keys.command(
    # An id may begin with a hyphen, and must not be taken for options then.
    context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]},
    help=_REMOVE,
    short_help="Take a key out at once.",
)
@click.argument("id_", metavar="ID")
@config_option
@yes_option
def remove(id_: str, config: ConfigFile, yes: bool) -> None:  # noqa: FBT001 - as above
    """Take one key out."""
    read, now = config.load(), utc_now()
    ring = _ring_at(read)
    key = next((each for each in ring.keys if each.id == id_), None)
    if key is None:
        refuse(f"There is no key {id_!r} in {read.keys}. `keyturn keys list` tells the ids.")
    state = ring.state(key, now)
    consequence = _consequence(key, state)
    if consequence:
        confirm(f"{consequence} Remove {key.purpose} key {key.id}?", yes=yes)
    after = DirectoryKeys(read.keys).remove(key.id)
    say(f"Removed {key.purpose} key {key.id}.")
    if state == "current":
        successor = after.signing(now) if key.purpose == "access" else after.sealing(now)
        say(f"{key.purpose} key {successor.id} signs from now on; running servers follow within a minute.")


@keys.command(help=_JWKS, short_help="Print the public keys as a JWK set.")
@config_option
def jwks(config: ConfigFile) -> None:
    """Print the public halves."""
    ring = _ring_at(config.load())
    click.echo(json.dumps(ring.jwks(utc_now()), indent=1))


def _ring_at(config: ServerConfig) -> KeyRing:
    ring = look(config.keys)
    if not ring.keys:
        refuse(f"There are no keys in {config.keys}. Make them with `keyturn keys generate`.")
    return ring


def _row(ring: KeyRing, key: Key, now: datetime) -> tuple[Any, ...]:
    return (
        key.id, key.purpose, key.algorithm, ring.state(key, now), key.created_at, key.signs_from, key.verifies_until
    )  # fmt: skip


def _say_they_are_there(config: ServerConfig, ring: KeyRing, algorithm: str | None) -> None:
    say(f"There are keys in {config.keys} already; nothing was changed. `keyturn keys list` shows them.")
    if algorithm and algorithm != ring.signing(utc_now()).algorithm:
        say(f"To change over to {algorithm}: keyturn keys rotate --algorithm {algorithm}")


def _ask_before_a_fresh_start(config: ServerConfig, *, yes: bool) -> None:
    try:
        database.refuse_lost_keys(config, now=utc_now())
    except ConfigurationError:
        confirm(
            f"The database has sessions that live, and their keys are not in {config.keys}: with fresh keys everybody "
            "has to sign in again. Make them all the same?",
            yes=yes,
        )


def _rotate(source: DirectoryKeys, purpose: Purpose, algorithm: str | None) -> None:
    now = utc_now()
    added: list[Key] = []
    rule: Callable[..., KeyRing] = (
        partial(rotate_access, algorithm=algorithm) if purpose == "access" else rotate_refresh
    )

    def rotated(ring: KeyRing) -> KeyRing:
        after = rule(ring, now=now, entropy=random_bytes)
        known = {each.id for each in ring.keys}
        added.extend(each for each in after.keys if each.id not in known)
        return after

    line = [key for key in source.change(rotated).keys if key.purpose == purpose]
    (new,) = added
    before = line[[key.id for key in line].index(new.id) - 1]
    minutes = round((new.signs_from - now) / timedelta(minutes=1))
    say(f"{purpose} key {new.id} ({new.algorithm}) signs from {_clock(new.signs_from)}, in {minutes} minutes.")
    say(f"Until then {before.id} signs; what it signed is good until {_clock(before.verifies_until or now)}.")


def _consequence(key: Key, state: str) -> str:
    """Say what becomes of tokens where a key goes; nothing where nobody will notice."""
    if state not in ("current", "retiring"):
        return ""
    if key.purpose == "refresh":
        return "Everybody whose session it sealed last has to sign in again."
    return "Access tokens that it signed are refused; clients refresh and go on."


def _clock(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
