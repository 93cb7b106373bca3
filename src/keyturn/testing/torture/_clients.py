"""Clients that behave, each in its way: one store, one refresh at a time, kept before it is used."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Final

from ._adapter import Held, Outcome, User
from ._facts import Kind, Party
from ._faults import LOSE_THE_ANSWER, Faults, draw_faults
from ._stage import Session, Stage

#: The leeway of P3 and P4 in seconds, and a moment more: what sleepers and patient thieves wait.
OUTSIDE_THE_LEEWAY: Final = 10.6
#: How long a client tries to get past the wait that some servers keep between two turns.
_PATIENCE_TURNS: Final = 30


@dataclass(kw_only=True, slots=True)
class Client:
    """One holder of a session's tokens.

    Args:
        stage: where.
        session: which.
        rng: its own chance.
        party: the owner, through the faulty network; or a thief, past it, with a store of its own.
        stolen: the thief's store.
    """

    stage: Stage
    session: Session
    rng: Random
    party: Party = Party.OWNER
    stolen: Held | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def held(self) -> Held:
        """What is in this client's store now."""
        return self.session.held if self.stolen is None else self.stolen

    def keep(self, held: Held) -> None:
        """Put an answer into the store."""
        if self.stolen is None:
            self.session.held = held
        else:
            self.stolen = held

    def _faults(self) -> Faults | None:
        return None if self.party is Party.THIEF else draw_faults(self.stage.mix, self.rng.random)

    async def refresh(self, first: Faults | None = None) -> Outcome | None:
        """Refresh until there is an answer; the same token again where one got lost. None when the run is over.

        Args:
            first: what the network does to the first message; by default what is drawn.
        """
        repeated = False
        while self.stage.left > 0:
            held = self.held
            got = await self.stage.present(self.session, held, self.party, first or self._faults())
            first = None
            if got is None:
                await self.stage.pause(self.rng.uniform(0.02, 0.6))
                continue
            if got.held is not None:
                self.keep(got.held)
            if got.outcome is not Outcome.STALE or repeated:
                return Outcome.SIGNED_OUT if got.outcome is Outcome.STALE else got.outcome
            repeated = True
        return None

    async def call(self) -> Outcome | None:
        """Call the API until there is an answer: what acknowledges a refresh."""
        while self.stage.left > 0:
            outcome = await self.stage.ask(self.session, self.held, self.party, self._faults())
            if outcome is not None:
                return outcome
            await self.stage.pause(self.rng.uniform(0.02, 0.3))
        return None

    async def refresh_and_call(self, first: Faults | None = None) -> Outcome | None:
        """Refresh, then call; where the call is refused, refresh and call once more, as a browser client does."""
        outcome = await self.refresh(first)
        for _ in range(2):
            if outcome is not Outcome.OK or await self.call() in {Outcome.OK, None}:
                break
            outcome = await self.refresh()
        return outcome

    async def advance(self) -> Outcome | None:
        """Refresh until there is another token than before, however long the server has one wait; then call."""
        before = self.held.refresh_token
        for _ in range(_PATIENCE_TURNS):
            await self.settled_copies()
            outcome = await self.refresh()
            if outcome is not Outcome.OK or self.held.refresh_token != before:
                return await self.acknowledged(outcome)
            await self.stage.pause(1.0)
        return None

    async def acknowledged(self, outcome: Outcome | None) -> Outcome | None:
        """Call the API if a refresh went well."""
        if outcome is Outcome.OK:
            await self.call()
        return outcome

    async def settled_copies(self) -> None:
        """Wait for the network's copies where turns may follow each other at once.

        A copy that comes after the next turn is two generations old, and an honest network is not tested with it.
        """
        if self.party is Party.OWNER and self.session.history.transport != "cookie":
            await self.stage.quiet(self.session)


Life = Callable[[Client, float], Awaitable[Outcome | None]]


async def live(stage: Stage, kind: Kind, transport: str, user: User, rng: Random) -> Session:
    """Sign in and live a session until its time comes, or it is signed out, or the run is over."""
    session = await stage.sign_in(kind, transport, user)
    client = Client(stage=stage, session=session, rng=rng)
    # Sessions of every length, and some are there all the time.
    span = min(stage.left, rng.choice([rng.uniform(2, 12), rng.uniform(8, 40), 120.0]))
    await _LIVES[kind](client, stage.left - span)
    return session


async def _single(client: Client, until: float) -> Outcome | None:
    """One program or page."""
    stage, rng = client.stage, client.rng
    await client.call()
    while stage.left > max(0.0, until):
        await stage.pause(rng.uniform(0.2, 3.0))
        await client.settled_copies()
        if await client.refresh_and_call() is not Outcome.OK:
            return Outcome.SIGNED_OUT
    return Outcome.OK


async def _tabs(client: Client, until: float) -> Outcome | None:
    """Three tabs on one jar; with a lock only one of them refreshes at a time."""
    await asyncio.gather(*(_tab(client, until) for _ in range(3)))
    return Outcome.OK


async def _tab(client: Client, until: float) -> None:
    stage, rng = client.stage, client.rng
    while stage.left > max(0.0, until):
        await stage.pause(rng.uniform(0.5, 5.0))
        if client.session.history.kind is Kind.TABS_UNLOCKED:
            outcome = await client.refresh()
        else:
            async with client.lock:
                await client.settled_copies()
                outcome = await client.refresh()
        if await client.acknowledged(outcome) is not Outcome.OK:
            return


async def _woken_together(client: Client, until: float) -> Outcome | None:
    """Tabs without a lock, all at the same instant, now and then."""
    stage, rng = client.stage, client.rng
    while stage.left > max(0.0, until):
        await stage.pause(rng.uniform(1.0, 4.0))
        await client.settled_copies()
        outcomes = await asyncio.gather(*(client.refresh() for _ in range(3)))
        if Outcome.SIGNED_OUT in outcomes:
            return Outcome.SIGNED_OUT
        await client.call()
    return Outcome.OK


async def _sleeper(client: Client, until: float) -> Outcome | None:
    """A lid closed in mid-refresh: the answer gets lost, and the client sleeps through the leeway."""
    stage = client.stage
    await client.call()
    while stage.left > max(0.0, until):
        await client.settled_copies()
        await stage.present(client.session, client.held, Party.OWNER, LOSE_THE_ANSWER)
        await stage.pause(client.rng.uniform(OUTSIDE_THE_LEEWAY, OUTSIDE_THE_LEEWAY + 2))
        if await client.refresh_and_call() is not Outcome.OK:
            return Outcome.SIGNED_OUT
        # A generation that needs no recovery, so that these do not add up.
        if await client.advance() is not Outcome.OK:
            return Outcome.SIGNED_OUT
    return Outcome.OK


_LIVES: Final[dict[Kind, Life]] = {
    Kind.SINGLE: _single,
    Kind.TABS: _tabs,
    Kind.TABS_UNLOCKED: _woken_together,
    Kind.SLEEPER: _sleeper,
}
