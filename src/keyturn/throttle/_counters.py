"""Which counters an attempt concerns: pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from ..limits import Limit, Limits
from . import Attempt
from ._keys import network, one_spelling

#: Gives the digest of some texts.
Digest: TypeAlias = Callable[..., bytes]


class Counter(NamedTuple):
    """One counter of an attempt.

    Args:
        kind: the limit's name.
        id: a digest; unique among all kinds.
    """

    kind: str
    limit: Limit
    id: bytes


class Concerned(NamedTuple):
    """The counters of a sign-in, or of a step-up.

    Args:
        usual: for a browser that nobody knows.
        own: for one that has signed this user in before; empty where the attempt shows none.
        user: under which the user's browsers are remembered; empty for a step-up, which comes out of a session.
        browser: what this browser is remembered as; empty where the attempt shows none.
    """

    usual: tuple[Counter, ...]
    own: tuple[Counter, ...] = ()
    user: bytes = b""
    browser: bytes = b""


def of_login(attempt: Attempt, limits: Limits, digest: Digest) -> Concerned:
    """Give the counters of a login.

    A known browser is counted under (user, browser) alone: neither what strangers try with this name nor what its
    neighbours behind the same address do can keep its user out. It is no way around the limits, since to become known
    for a user it must have known the password.
    """
    realm, user = attempt.realm, one_spelling(attempt.username)
    place = network(attempt.address)
    usual = [
        ("login_per_user_and_address", limits.login_per_user_and_address, (user, place)),
        ("login_per_user", limits.login_per_user, (user,)),
        # Where the address is unknown, everybody would share it.
        ("login_per_address", limits.login_per_address if place else None, (place,)),
    ]
    common = Concerned(
        usual=tuple(Counter(kind, limit, digest(kind, realm, *who)) for kind, limit, who in usual if limit),
        user=digest("user", realm, attempt.username),  # exactly as typed, see `remembered`
    )
    if not attempt.browser:
        return common
    own = _own(limits, digest, "browser", realm, user, attempt.browser)
    return common._replace(own=own, browser=remembered(attempt, attempt.browser, digest))


def of_step_up(attempt: Attempt, limits: Limits, digest: Digest) -> Concerned:
    """Give the counters of a step-up: those of the session alone, since nobody else can ask in it."""
    return Concerned(usual=_own(limits, digest, "session", attempt.realm, attempt.session_id))


def _own(limits: Limits, digest: Digest, *whose: str) -> tuple[Counter, ...]:
    rules = (
        ("login_per_user_and_address", limits.login_per_user_and_address),
        ("login_per_user", limits.login_per_user),
    )
    return tuple(Counter(kind, limit, digest(kind, *whose)) for kind, limit in rules if limit)


def remembered(attempt: Attempt, browser: str, digest: Digest) -> bytes:
    """Give what a browser is remembered as: good for this user alone, by the name exactly as it was typed.

    The application may tell names apart that share one spelling here: whoever owns one of them must not be known for
    the others.
    """
    return digest("known", attempt.realm, attempt.username, browser)


def of_refresh(attempt: Attempt, limits: Limits, digest: Digest) -> tuple[Counter, ...]:
    """Give the counters of a refresh.

    Args:
        attempt: with a browser only where that is known for the session's own, which has a count of its own.
    """
    counters: list[Counter] = []
    if limits.refresh_per_session:
        kind = "refresh_per_session"
        id_ = digest(kind, attempt.realm, attempt.session_id, attempt.browser)
        counters.append(Counter(kind, limits.refresh_per_session, id_))
    if limits.refresh_per_address and (place := network(attempt.address)):
        kind = "refresh_per_address"
        counters.append(Counter(kind, limits.refresh_per_address, digest(kind, attempt.realm, place)))
    return tuple(counters)
