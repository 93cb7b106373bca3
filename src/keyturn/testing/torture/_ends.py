"""Sessions that are ended in the middle, and what is looked at afterwards."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from random import Random
from typing import Final

from ._adapter import Answer, Call, Held, Outcome, User
from ._facts import Ended, Kind, Listed, Party
from ._faults import Faults
from ._stage import Session, Stage
from ._wire import LostError

#: What a server that promises no bound is watched for, in seconds.
_UNPROMISED: Final = 6.0
#: How often the guarded URL is asked at first, and after a second, in seconds.
_QUICK_STEP: Final = 0.05
_SLOW_STEP: Final = 0.25
#: So many refusals in a row are taken for lasting, until the last look after the bound.
_LASTING: Final = 3
#: So many of the sessions that a sign-out everywhere ends are watched from the first moment.
_POLLED_AT_ONCE: Final = 4
_A_LITTLE: Final = 0.05
#: How often an end is tried that got no promise.
_TRIES: Final = 5
#: The warden signs in anew after so many seconds: ending another's session takes a recent sign-in.
_RENEWED_AFTER: Final = 240.0
_LISTED_EVERY: Final = 2.5
#: The last of several users signs out everywhere so often, while the clients are at work.
_EVERYWHERE_EVERY: Final = 40.0


@dataclass(kw_only=True, slots=True)
class Warden:
    """A session of each user's, past the faulty network, that lists the user's sessions and ends others.

    Args:
        stage: where.
        user: whose.
        session: the warden's own.
    """

    stage: Stage
    user: User
    session: Session

    async def watch_over(self, rng: Random, *, ends_all: bool) -> None:
        """List the user's sessions now and then, refresh, sign in anew in time, until the run is over.

        Args:
            rng: the warden's own chance.
            ends_all: whether the user signs out everywhere now and then.
        """
        rest = min(self.stage.left, _EVERYWHERE_EVERY) * rng.uniform(0.5, 0.8)
        while self.stage.left > 0:
            if ends_all and rest <= 0 and self.stage.left > _LISTED_EVERY:
                rest = rng.uniform(0.5, 1.5) * _EVERYWHERE_EVERY
                await end_all(self.stage, self.user, self)
                self.session = await self._signed_in()
            since = time.monotonic()
            await self.stage.pause(rng.uniform(0.5, 1.5) * _LISTED_EVERY)
            if time.monotonic() - self.session.history.started > _RENEWED_AFTER:
                await self._renew()
            await self.list()
            await self.refresh()
            rest -= time.monotonic() - since

    async def _signed_in(self) -> Session:
        return await self.stage.sign_in(Kind.WARDEN, self.session.history.transport, self.user)

    async def _renew(self) -> None:
        before = self.session
        self.session = await self._signed_in()
        await end(self.stage, before, self.stage.adapter.end(before.held), "logout")
        self.stage.later(look_after(self.stage, before))

    async def refresh(self) -> None:
        """Refresh, and call the API as every client does afterwards."""
        got = await self.stage.present(self.session, self.session.held, Party.OWNER, None)
        if got is not None and got.outcome is Outcome.SIGNED_OUT:
            await self.stage.settle(self.session)
            self.session = await self._signed_in()
        elif got is not None and got.held is not None:
            self.session.held = got.held
            await self.stage.ask(self.session, got.held, Party.OWNER, None)

    async def list(self) -> None:
        """Write down the absolute ends of all open sessions of the user."""
        call = self.stage.adapter.list_sessions(self.session.held)
        if call is None:
            return
        answer = await self.stage.patiently(call)
        told = self.stage.adapter.listed(answer) if answer.status < 400 else {}
        now = time.monotonic()
        for session in self.stage.open:
            if (absolute_end := told.get(session.held.session_id or "")) is not None:
                session.history.listed.append(Listed(at=now, absolute_end=absolute_end))

    def ending(self, session: Session) -> Call | None:
        """Give the call that ends another session, None where the product has none."""
        known = session.held.session_id
        return None if known is None else self.stage.adapter.end_other(self.session.held, known)


async def end(stage: Stage, session: Session, call: Call, how: str) -> bool:
    """Send what ends a session until its end is promised, and write it down; say whether it was."""
    began = time.monotonic()
    returned = await _promised(stage, call)
    session.history.ends.append(Ended(began=began, returned=returned, how=how))
    return returned is not None


async def _promised(stage: Stage, call: Call) -> float | None:
    for _ in range(_TRIES):
        answer = await _answer(stage, call)
        if answer is not None and stage.adapter.ended(answer):
            return time.monotonic()
        if answer is not None and answer.status < 500:
            return None
        await asyncio.sleep(0.2)
    return None


async def _answer(stage: Stage, call: Call) -> Answer | None:
    try:
        return await stage.patiently(call)
    except LostError:
        return None


async def end_somehow(stage: Stage, session: Session, warden: Warden | None, rng: Random) -> None:
    """End a session: by its own logout, from another device, or in a race with its own refreshes."""
    how = rng.choice(["logout", "other", "race"])
    own = stage.adapter.end(session.held)
    from_elsewhere = warden.ending(session) if warden is not None and how != "logout" else None
    if how == "race":
        await _race(stage, session, from_elsewhere or own, rng)
    else:
        await end(stage, session, from_elsewhere or own, how if from_elsewhere else "logout")
    if session.history.end_returned is None:
        await end(stage, session, stage.adapter.end(session.held), "logout")


async def _race(stage: Stage, session: Session, call: Call, rng: Random) -> None:
    """Let refreshes be under way, some arriving before the end, some during it, some after."""
    refreshes = [
        stage.present(session, session.held, Party.OWNER, Faults(hold_request=rng.uniform(0, 0.06))) for _ in range(4)
    ]
    await asyncio.gather(_after(rng.uniform(0, 0.04), end(stage, session, call, "race")), *refreshes)


async def _after(seconds: float, work: Awaitable[object]) -> None:
    await asyncio.sleep(seconds)
    await work


async def end_all(stage: Stage, user: User, warden: Warden | None) -> None:
    """End all sessions of a user that are open: sign out everywhere, or one by one where the product has no such thing."""
    there = [session for session in stage.open if session.user is user and session.history.end_began is None]
    call = None if warden is None else stage.adapter.end_all(warden.session.held)
    began = time.monotonic()
    stage.signed_out_everywhere[user.name] = math.inf
    # Whoever refreshes meanwhile is in a race with it.
    for session in there if call is not None else ():
        session.history.ends.append(Ended(began=began, returned=None, how="all"))
    returned = None if call is None else await _promised(stage, call)
    stage.signed_out_everywhere[user.name] = time.monotonic()
    if returned is None:
        await asyncio.gather(*(end(stage, session, stage.adapter.end(session.held), "logout") for session in there))
    else:
        for session in there:
            session.history.ends.append(Ended(began=began, returned=returned, how="all"))
    for at, session in enumerate(there):
        stage.later(look_after(stage, session, place=at))


# --- afterwards ------------------------------------------------------------------------------------------------------


async def look_after(stage: Stage, session: Session, *, place: int = 0) -> None:
    """Present what an ended session's client holds, ask the guarded URLs until they refuse, then let it be judged.

    Args:
        stage: where.
        session: which.
        place: in a row of sessions that ended at once. Only the first few are asked about at once: the tool's own
            crowd would be measured, not the server.
    """
    returned = session.history.end_returned
    if returned is not None:
        polls = [] if place >= _POLLED_AT_ONCE else [
            _poll(stage, session, session.recent[-1], target, returned) for target in range(len(stage.wire.targets))
        ]  # fmt: skip
        await asyncio.gather(*polls, _after(_A_LITTLE * (1 + place), _try(stage, session)))
        patience = _watched(stage) + stage.figures.rules.slack + _A_LITTLE
        await asyncio.sleep(max(0.0, returned + patience - time.monotonic()))
        await stage.quiet(session)
        await _try(stage, session)
        await _ask_everywhere(stage, session)
    await stage.settle(session)


async def _ask_everywhere(stage: Stage, session: Session) -> None:
    for held in list(session.recent):
        for target in range(len(stage.wire.targets)):
            await stage.ask(session, held, Party.PROBE, None, place=target)


def _watched(stage: Stage) -> float:
    bound = stage.figures.rules.bound
    return _UNPROMISED if bound is None else bound


async def _try(stage: Stage, session: Session) -> None:
    for held in list(session.recent):
        await stage.present(session, held, Party.PROBE, None)


async def _poll(stage: Stage, session: Session, held: Held, place: int, returned: float) -> None:
    refused = 0
    while refused < _LASTING and (since := time.monotonic() - returned) < _watched(stage):
        outcome = await stage.ask(session, held, Party.PROBE, None, place=place)
        refused = 0 if outcome is Outcome.OK else refused + 1
        await asyncio.sleep(_QUICK_STEP if since < 1 else _SLOW_STEP)


async def station(stage: Stage, user: User, transport: str) -> Warden:
    """Sign a user's warden in.

    Raises:
        SignInError: the server says no.
        LostError: no answer came.
    """
    return Warden(stage=stage, user=user, session=await stage.sign_in(Kind.WARDEN, transport, user))
