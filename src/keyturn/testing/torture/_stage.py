"""What all actors share: the wire, the network, the sessions that are open, and the run's end."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import count
from random import Random
from typing import Final

from ._adapter import Adapter, Answer, Call, Held, Outcome, Refreshed, User
from ._facts import ANYWHERE, Called, Ended, History, Kind, Party, Presented, Result
from ._faults import Faults, Mix
from ._figures import Figures
from ._proxy import Delivery, FaultyProxy, Lane
from ._wire import LostError, Wire

#: After these nobody knows more than before; the client waits and repeats.
_NOT_NOW: Final = frozenset({429, 500, 502, 503, 504})
#: How long a client waits that was told "not now" without a Retry-After.
_A_MOMENT: Final = 0.5
#: The tokens handed out last, which are tried again after the end.
_RECENT: Final = 2


@dataclass(kw_only=True, slots=True, eq=False)
class Session:
    """A sign-in, its client's one store, and what is written down of it.

    Args:
        history: for the judge.
        user: whose.
        held: the owner's store.
        lane: the owner's way through the network.
        recent: what was handed out last, to anybody.
    """

    history: History
    user: User
    held: Held
    lane: Lane = field(default_factory=Lane)
    recent: deque[Held] = field(default_factory=lambda: deque[Held](maxlen=_RECENT))


@dataclass(kw_only=True, slots=True)
class Stage:
    """Where a run takes place.

    Args:
        adapter: how the server is spoken to.
        wire: past the faulty network.
        proxy: the faulty network.
        mix: how often it does what.
        figures: the sums.
        key: what marks are made with; random, so that they tell nothing of tokens.
        deadline: when clients stop, on the monotonic clock.
        signed_out_everywhere: by user, when that was last promised; infinity while it is under way.
    """

    adapter: Adapter
    wire: Wire
    proxy: FaultyProxy
    mix: Mix
    figures: Figures
    key: bytes
    deadline: float
    open: set[Session] = field(default_factory=set[Session])
    signed_out_everywhere: dict[str, float] = field(default_factory=dict[str, float])
    watches: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    _names: count[int] = field(default_factory=lambda: count(1))

    @property
    def left(self) -> float:
        """Seconds until clients stop; negative afterwards."""
        return self.deadline - time.monotonic()

    async def pause(self, seconds: float) -> None:
        """Wait, but not beyond the end of the run."""
        await asyncio.sleep(max(0.0, min(seconds, self.left)))

    def mark(self, held: Held) -> str:
        """Give what stands for a refresh token in the facts."""
        return blake2b(held.refresh_token.encode(), key=self.key, digest_size=8).hexdigest()

    # --- sessions ----------------------------------------------------------------------------------------------------

    async def sign_in(self, kind: Kind, transport: str, user: User) -> Session:
        """Sign in past the faulty network.

        Raises:
            SignInError: the server says no.
            LostError: no answer came.
        """
        began = time.monotonic()
        held = await self.adapter.sign_in(self.patiently, user, transport)
        name = f"{next(self._names)}"
        history = History(
            name=name, kind=kind, transport=transport, root=self.mark(held), started=time.monotonic(),
            expires_in=held.expires_in,
        )  # fmt: skip
        if self.signed_out_everywhere.get(user.name, began) > began:  # whether it was before or after, nobody can know
            history.ends.append(Ended(began=began, returned=None, how="all"))
        session = Session(history=history, user=user, held=held)
        session.recent.append(held)
        self.open.add(session)
        return session

    async def settle(self, session: Session) -> None:
        """Have a session judged and forgotten, once nothing of it is under way."""
        await self.quiet(session)
        if session in self.open:
            self.open.discard(session)
            self.figures.settle(session.history)

    async def quiet(self, session: Session) -> None:
        """Wait until no message of a session is under way."""
        while session.lane.pending:
            await session.lane.emptied()

    def later(self, work: Awaitable[None]) -> None:
        """Do something beside the clients; the run waits for it in the end."""
        task = asyncio.ensure_future(work)
        self.watches.add(task)
        task.add_done_callback(self.watches.discard)

    # --- sending -----------------------------------------------------------------------------------------------------

    async def patiently(self, call: Call) -> Answer:
        """Send past the faulty network, and wait as long as told when the answer is 429.

        Raises:
            LostError: no answer came.
        """
        while True:
            answer = await self.wire.send(call)
            self._count(answer)
            if answer.status != 429 or self.left < -_A_MOMENT:
                return answer
            await asyncio.sleep(min(retry_after(answer), max(_A_MOMENT, self.left)))

    async def present(self, session: Session, held: Held, party: Party, faults: Faults | None) -> Refreshed | None:
        """Present a refresh token, and write down what became of it.

        Args:
            session: whose.
            held: the sender's store, as it is now.
            party: who sends.
            faults: what the network does; None goes past it.

        Returns:
            What the client understands; None where it got nothing, or was told "not now".
        """

        def note(delivery: Delivery) -> None:
            self._note_presented(session, held, party, delivery)

        answer = await self._sent(self.adapter.refresh(held), session, faults, note)
        if answer is None:
            return None
        if answer.status in _NOT_NOW:
            await self.pause(retry_after(answer))
            return None
        return self.adapter.refreshed(held, answer)

    async def ask(
        self, session: Session, held: Held, party: Party, faults: Faults | None, *, place: int = 0
    ) -> Outcome | None:
        """Call the guarded URL, and write down whether it let us in; None where there was no answer."""

        def note(delivery: Delivery) -> None:
            self._note_called(session, held, party, place if faults is None else ANYWHERE, delivery)

        answer = await self._sent(self.adapter.who_am_i(held), session, faults, note, place=place, fresh=True)
        return None if answer is None or answer.status in _NOT_NOW else self.adapter.recognised(answer)

    async def _sent(
        self, call: Call, session: Session, faults: Faults | None, note: Callable[[Delivery], None],
        *, place: int = 0, fresh: bool = False,
    ) -> Answer | None:  # fmt: skip
        if faults is not None:
            try:
                return await self.wire.send_by(self.proxy.url, call, self.proxy.expect(session.lane, faults, note))
            except LostError:
                return None
        began = time.monotonic()
        answer: Answer | None = None
        try:
            answer = await self.wire.send(call, place=place, fresh=fresh)
        except LostError:
            self.figures.counts["unreachable"] += 1
        ended = time.monotonic()
        note(Delivery(began=began, ended=ended, answer=answer, copy=False, answered=answer is not None))
        return answer

    # --- writing down ------------------------------------------------------------------------------------------------

    def _note_presented(self, session: Session, held: Held, party: Party, delivery: Delivery) -> None:
        self._count(delivery.answer)
        self.figures.refresh.add(delivery.ended - delivery.began)
        got = self._understood(held, delivery.answer)
        after = got.held if got is not None and got.outcome is Outcome.OK else None
        if after is not None and all(after.refresh_token != known.refresh_token for known in session.recent):
            session.recent.append(after)
        session.history.presented.append(
            Presented(
                token=self.mark(held), began=delivery.began, ended=delivery.ended, result=_result(got),
                successor=None if after is None else self.mark(after),
                expires_in=None if after is None else after.expires_in,
                party=party, copy=delivery.copy, answered=delivery.answered,
            )
        )  # fmt: skip

    def _note_called(self, session: Session, held: Held, party: Party, place: int, delivery: Delivery) -> None:
        answer = delivery.answer
        self._count(answer)
        if answer is None or answer.status in _NOT_NOW:
            return
        accepted = self.adapter.recognised(answer) is Outcome.OK
        session.history.called.append(
            Called(
                token=self.mark(held), began=delivery.began, ended=delivery.ended, accepted=accepted, party=party,
                place=place,
            )
        )  # fmt: skip

    def _understood(self, held: Held, answer: Answer | None) -> Refreshed | None:
        return None if answer is None or answer.status in _NOT_NOW else self.adapter.refreshed(held, answer)

    def _count(self, answer: Answer | None) -> None:
        if answer is None:
            return
        self.figures.counts["requests"] += 1
        self.figures.counts["server_errors"] += answer.status >= 500
        self.figures.counts["throttled"] += answer.status == 429


def _result(got: Refreshed | None) -> Result:
    if got is None:
        return Result.LATER
    return {Outcome.OK: Result.TURNED, Outcome.STALE: Result.STALE}.get(got.outcome, Result.REFUSED)


def retry_after(answer: Answer) -> float:
    """Give the seconds that a 429 or 503 asks to wait; a moment where it does not say (RFC 9110 section 10.2.3)."""
    told = answer.header("retry-after") or ""
    return float(told) if told.isdecimal() else _A_MOMENT


def chance(seed: str, *place: object) -> Random:
    """Give chance that is the same for the same place in the same plan."""
    return Random("/".join([seed, *map(str, place)]))  # noqa: S311 - a plan that can be repeated
