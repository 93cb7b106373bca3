"""Where the demonstration's page may be shown, at what pace, and who signs in there."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from ..settings import is_loopback
from .config import ServerConfig
from .demo_page import Visitor
from .remarks import is_loopback as hears_only_itself

#: So short that a visitor sees several lives of a token in a minute. One clock signs and verifies, so none may differ.
LIVELY: Final[Mapping[str, timedelta]] = {
    "access_token_lifetime": timedelta(seconds=30),
    "leeway": timedelta(seconds=3),
    "clock_skew": timedelta(0),
}
#: The account that is made where there is none, and what marks it as the demonstration's own.
USERNAME: Final = "ada"
ROLE: Final = "demo"


def lively_environment(environment: Mapping[str, str]) -> Mapping[str, str]:
    """Give an environment with the settings of a server that has no configuration; what it says itself stands."""
    seconds = {f"KEYTURN_{name.upper()}": f"{value.seconds}s" for name, value in LIVELY.items()}
    return {**seconds, "KEYTURN_PROFILE": "development", **environment}


def faults(config: ServerConfig) -> Sequence[str]:
    """Say why the page must not be shown there; empty where it may."""
    found = []
    if not is_loopback(urlsplit(config.settings.issuer).hostname):
        found.append(f"the issuer is {config.settings.issuer}")
    if not hears_only_itself(config.host):
        found.append(f"it would listen at {config.host}")
    if config.workers > 1:
        found.append(f"each of {config.workers} workers would know a part of what happens")
    if config.settings.cookie.access_in_cookie:
        found.append("access tokens are in a cookie, where the page cannot open them")
    return found


def visitor(accounts: Any) -> Visitor | None:
    """Give the account for whoever looks; made where there is none at all. None where people have their own.

    Where it is the only one from an earlier run, it gets another password: the old one was told nobody but that run.

    Args:
        accounts: `Accounts`, for code that blocks.
    """
    known = accounts.list(limit=2)
    password = secrets.token_hex(8)
    if not known:
        accounts.create(USERNAME, password=password, roles=[ROLE])
    elif len(known) == 1 and _is_own(known[0]):
        accounts.set_password(USERNAME, password)
    else:
        return None
    return Visitor(username=USERNAME, password=password)


def _is_own(account: Any) -> bool:
    # Whoever has suspended her did so on purpose.
    return (account.username, frozenset(account.roles), account.state) == (USERNAME, frozenset({ROLE}), "active")
