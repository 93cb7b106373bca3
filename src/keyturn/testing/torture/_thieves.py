"""Thieves: copies of a token in second hands, used at the worst times. The first four kinds P4 promises to find."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final

from ._adapter import Outcome, User
from ._clients import OUTSIDE_THE_LEEWAY, Client
from ._facts import Kind, Party, Result
from ._stage import Session, Stage

Script = Callable[[Client, Client], Awaitable[None]]

#: How long the tool asks whether both are out, where the server has no time.
_PROBES: Final = 10
#: Seconds that a theft takes at most, so that none is begun which cannot be finished: with and without waiting a leeway.
_SLOW: Final = 13.0
_QUICK: Final = 5.0


def takes(kind: Kind, transport: str) -> float:
    """Give the seconds that a theft needs; cookie sessions turn once per leeway."""
    waits = {Kind.MIRROR, Kind.PREDECESSOR} | ({Kind.FIRST, Kind.LATE} if transport == "cookie" else set())
    return _SLOW if kind in waits else _QUICK


async def steal(stage: Stage, kind: Kind, transport: str, user: User, rng: Random) -> Session:
    """Sign a victim in, let a thief have their copy, and see who is left.

    Raises:
        SignInError: the server says no.
        LostError: no answer came.
    """
    session = await stage.sign_in(kind, transport, user)
    victim = Client(stage=stage, session=session, rng=rng)
    thief = Client(stage=stage, session=session, rng=rng, party=Party.THIEF, stolen=session.held)
    await _SCRIPTS[kind](victim, thief)
    await stage.quiet(session)
    await _look_who_is_in(stage, session, thief)
    return session


async def _look_who_is_in(stage: Stage, session: Session, thief: Client) -> None:
    """Let both present what they hold, past the faulty network: after an alarm both are refused."""
    for held, party in ((session.held, Party.OWNER), (thief.held, Party.THIEF)):
        for _ in range(_PROBES):
            got = await stage.present(session, held, party, None)
            if got is not None:
                break


async def _first(victim: Client, thief: Client) -> None:
    """The thief turns first, twice, and is known to have what they got; then comes the victim."""
    await thief.advance()
    await thief.advance()
    await victim.refresh()


async def _late(victim: Client, thief: Client) -> None:
    """The victim turns twice; then comes the thief with the copy from the beginning."""
    await victim.advance()
    await victim.advance()
    await victim.stage.quiet(victim.session)
    await thief.refresh()


async def _mirror(victim: Client, thief: Client) -> None:
    """The thief follows the victim, a leeway behind."""
    await victim.advance()
    await _wait_out_the_leeway(victim)
    await thief.refresh()


async def _predecessor(victim: Client, thief: Client) -> None:
    """The thief finds the token before the current one, and later tries it."""
    await victim.advance()
    thief.keep(victim.held)
    # As soon as the server lets it: in cookie sessions a leeway passes between two turns.
    await victim.advance()
    await _wait_out_the_leeway(victim)
    await thief.refresh()


async def _front_runner(victim: Client, thief: Client) -> None:
    """The thief turns first and stays silent; the victim's own turn then looks like a lost answer."""
    for _ in range(3):
        await thief.refresh()
        await victim.stage.pause(victim.rng.uniform(0.1, 1.0))
        if await victim.refresh() is not Outcome.OK:
            return
        thief.keep(victim.held)


async def _close_mirror(victim: Client, thief: Client) -> None:
    """The thief always comes within the leeway after the victim."""
    for _ in range(2):
        thief.keep(victim.held)
        await victim.settled_copies()
        if await victim.refresh_and_call() is not Outcome.OK:
            return
        await victim.stage.pause(victim.rng.uniform(0.1, 1.0))
        if await thief.refresh() is not Outcome.OK:
            return


async def _wait_out_the_leeway(victim: Client) -> None:
    """Wait from the last answer on: a repeat of the network's may have come after the first."""
    await victim.stage.quiet(victim.session)
    turned = [fact.ended for fact in victim.session.history.presented if fact.result is Result.TURNED]
    since = time.monotonic() - max(turned, default=0.0)
    await victim.stage.pause(OUTSIDE_THE_LEEWAY - since)


_SCRIPTS: Final[dict[Kind, Script]] = {
    Kind.FIRST: _first,
    Kind.LATE: _late,
    Kind.MIRROR: _mirror,
    Kind.PREDECESSOR: _predecessor,
    Kind.FRONT_RUNNER: _front_runner,
    Kind.CLOSE_MIRROR: _close_mirror,
}


async def replay(stage: Stage, transport: str, user: User) -> Session:
    """Turn three times within a second, past the faulty network, and replay the first token in the same second.

    Raises:
        SignInError: the server says no.
        LostError: no answer came.
    """
    session = await stage.sign_in(Kind.REPLAY, transport, user)
    first = session.held
    for _ in range(3):
        got = await stage.present(session, session.held, Party.OWNER, None)
        if got is None or got.held is None:
            return session
        session.held = got.held
    await stage.present(session, first, Party.THIEF, None)
    return session
