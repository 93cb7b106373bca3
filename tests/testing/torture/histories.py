"""Histories made up for the judge, in as few words as possible."""

from typing import Any

from keyturn.testing.torture._facts import Called, Ended, History, Kind, Listed, Party, Presented, Result, Rules

RULES = Rules()


def a_history(kind: Kind = Kind.SINGLE, transport: str = "body", **facts: Any) -> History:
    """One whose sign-in, at 0 s, gave token ``t0``, good for 1000 s."""
    return History(name="1", kind=kind, transport=transport, root="t0", started=0.0, expires_in=1000.0, **facts)


def turn(at: float, token: str, successor: str, party: Party = Party.OWNER, **more: Any) -> Presented:
    """A refresh that took 10 ms and worked; the new token is good for 1000 s."""
    rest = {"expires_in": 1000.0, **more}
    return Presented(
        token=token, began=at, ended=at + 0.01, result=Result.TURNED, successor=successor, party=party, **rest
    )


def refusal(at: float, token: str, party: Party = Party.OWNER, **more: Any) -> Presented:
    """A refresh that was answered: sign in."""
    return Presented(token=token, began=at, ended=at + 0.01, result=Result.REFUSED, party=party, **more)


def trouble(at: float, token: str) -> Presented:
    """A refresh that was answered 503."""
    return Presented(token=token, began=at, ended=at + 0.01, result=Result.LATER)


def call(at: float, token: str, *, accepted: bool = True, **more: Any) -> Called:
    """A call with the access token that came with a refresh token."""
    return Called(token=token, began=at, ended=at + 0.01, accepted=accepted, **more)


def end(at: float, how: str = "logout", *, promised: bool = True) -> Ended:
    """An end that took 10 ms."""
    return Ended(began=at, returned=at + 0.01 if promised else None, how=how)


def listing(at: float, absolute_end: str) -> Listed:
    return Listed(at=at, absolute_end=absolute_end)
