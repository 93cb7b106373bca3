"""A run from the first sign-in to the last verdict."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from ._adapter import Adapter, Answer, Call, SignInError, User
from ._clients import live
from ._ends import Warden, end_all, end_somehow, look_after, station
from ._facts import Kind, Party, Rules
from ._faults import Mix
from ._figures import Figures
from ._fleet import Role, fleet
from ._proxy import FaultyProxy
from ._stage import Session, Stage, chance
from ._thieves import replay, steal, takes
from ._wire import LostError, Wire

#: What may follow the end of the run: clients that finish a step, ends that are watched for a bound, verdicts.
_FINISHING_SECONDS: Final = 20.0
_SETTLING_SECONDS: Final = 60.0
_TELLING_EVERY: Final = 5.0
#: Clients begin spread over so many seconds.
_STAGGER: Final = 1.0
#: A session that would last less is not begun any more.
_TOO_SHORT: Final = 2.0


class CannotRunError(Exception):
    """There is nothing to measure: the server is not there, or nobody can sign in. Its text says which."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is asked of a run.

    Args:
        targets: base URLs; sessions are ended at the first, and watched at all of them.
        users: whose accounts the clients sign in with, in turn.
        clients: how many.
        seconds: how long clients go on; a settling time follows.
        seed: chooses who does what when.
        mix: what the network does.
        rules: what the judge measures with.
    """

    targets: Sequence[str]
    users: Sequence[User] = field(repr=False)
    clients: int
    seconds: float
    seed: str
    mix: Mix
    rules: Rules


async def run(plan: Plan, adapter: Adapter, tell: Callable[[str], None]) -> Figures:
    """Let the fleet loose, and give what was seen.

    Args:
        plan: what is asked.
        adapter: how the server is spoken to.
        tell: takes a line of progress now and then.

    Raises:
        CannotRunError: the server is not there, or nobody can sign in, or it took far too long.
    """
    figures = Figures(draw=chance(plan.seed, "samples").random, rules=plan.rules)
    upstream = chance(plan.seed, "upstream")
    async with Wire(plan.targets) as wire:

        async def forward(call: Call) -> Answer:
            return await wire.send(call, place=upstream.randrange(len(plan.targets)))

        async with FaultyProxy(forward, plan.mix.longest_delay) as proxy:
            stage = Stage(
                adapter=adapter, wire=wire, proxy=proxy, mix=plan.mix, figures=figures, key=secrets.token_bytes(16),
                deadline=time.monotonic() + plan.seconds,
            )  # fmt: skip
            try:
                async with asyncio.timeout(plan.seconds + _FINISHING_SECONDS + _SETTLING_SECONDS):
                    await _all_of_it(stage, plan, tell)
            except TimeoutError:
                raise CannotRunError("the run did not come to its end; is the server still answering?") from None
    return figures


async def _all_of_it(stage: Stage, plan: Plan, tell: Callable[[str], None]) -> None:
    roles = fleet(plan.clients, len(plan.users), stage.adapter.transports)
    wardens = await _stationed(stage, plan, roles)
    stage.deadline = time.monotonic() + plan.seconds
    telling = asyncio.ensure_future(_telling(stage, plan, tell))
    try:
        lanes = [_lane(stage, role, plan, wardens) for role in roles]
        await asyncio.gather(*lanes)
        tell("settling: the last look at every session, everybody signed out, and watched for the bound")
        await _settled(stage, wardens)
    finally:
        telling.cancel()


async def _stationed(stage: Stage, plan: Plan, roles: Sequence[Role]) -> dict[str, Warden]:
    wardens: dict[str, Warden] = {}
    for role in roles[: len(plan.users)]:
        user = plan.users[role.user]
        try:
            wardens[user.name] = await station(stage, user, role.transports[0])
        except LostError as error:
            raise CannotRunError(f"no server answers at {stage.wire.targets[0]} ({error})") from None
        except SignInError as error:
            raise CannotRunError(f"{user.name!r} cannot sign in: {error}. Is the password right?") from None
    return wardens


# --- one client ------------------------------------------------------------------------------------------------------


async def _lane(stage: Stage, role: Role, plan: Plan, wardens: dict[str, Warden]) -> None:
    """Do what a role says until the run is over; a server in trouble is waited for."""
    user = plan.users[role.user]
    rng = chance(plan.seed, "client", role.number)
    if not role.thefts:
        await stage.pause(rng.uniform(0, min(_STAGGER, plan.seconds / 4)))
    turn = 0
    while stage.left > (_TOO_SHORT if turn else 0):
        try:
            if role.kind is Kind.WARDEN:
                await wardens[user.name].watch_over(rng, ends_all=0 < role.user == len(plan.users) - 1)
            else:
                await _session(stage, role, turn, user, rng, wardens.get(user.name))
        except SignInError:
            stage.figures.counts["sign_ins_refused"] += 1
            await stage.pause(1.0)
        except LostError:
            stage.figures.counts["unreachable"] += 1
            await stage.pause(0.5)
        turn += 1


async def _session(stage: Stage, role: Role, turn: int, user: User, rng: Random, warden: Warden | None) -> None:
    transport = role.transports[(turn // max(1, len(role.thefts))) % len(role.transports)]
    kind = role.thefts[turn % len(role.thefts)] if role.thefts else role.kind
    if kind is Kind.REPLAY and transport != "cookie":
        session = await replay(stage, transport, user)
    elif kind.is_theft and takes(kind, transport) < stage.left:
        session = await steal(stage, kind, transport, user, rng)
    else:
        session = await live(stage, Kind.SINGLE if kind.is_theft or kind is Kind.REPLAY else kind, transport, user, rng)
    if session.history.end_returned is None and (session.history.kind.is_theft or stage.left > 0):
        await end_somehow(stage, session, warden, rng)
        stage.later(look_after(stage, session))


# --- the end ---------------------------------------------------------------------------------------------------------


async def _settled(stage: Stage, wardens: dict[str, Warden]) -> None:
    there = [session for session in stage.open if session.history.end_began is None]
    looks = await asyncio.gather(*(_last_look(stage, session) for session in there))
    if there and not any(looks):
        raise CannotRunError("the server answered nobody any more at the end of the run")
    users = {session.user.name: session.user for session in stage.open}
    await asyncio.gather(*(end_all(stage, user, wardens.get(name)) for name, user in users.items()))
    while stage.watches:
        await asyncio.gather(*stage.watches)
    for session in list(stage.open):
        await stage.settle(session)


async def _last_look(stage: Stage, session: Session) -> bool:
    """Let the owner refresh once more, past the faulty network: whoever was signed out unseen is seen now.

    Returns:
        Whether there was an answer.
    """
    await stage.quiet(session)
    got = await stage.present(session, session.held, Party.OWNER, None)
    if got is not None and got.held is not None:
        session.held = got.held
    return got is not None


async def _telling(stage: Stage, plan: Plan, tell: Callable[[str], None]) -> None:
    while True:
        await asyncio.sleep(_TELLING_EVERY)
        counts, done = stage.figures.counts, plan.seconds - max(0.0, stage.left)
        tell(
            f"{done:.0f} s of {plan.seconds:.0f}: {stage.figures.refresh.seen} refreshes sent, "
            f"{counts['false_logouts']} false logouts, {sum(stage.figures.thefts.values())} thefts "
            f"({sum(stage.figures.thefts_detected.values())} found), {counts['resurrected']} resurrected"
        )
