"""The store suite's part on ending a whole realm step by step, for stores that can: `keyturn.stores.Stepping`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from typing import Any, cast

import pytest

from ..session import EndReason, Session
from ..stores import ENDED, EndStep, Revocation, Stepping
from ._store_stage import MICROSECOND, NOW, REALM, SECOND, UNTIL, Stage, StoreSuite, in_each_colour, turn_of

#: How sessions end here.
HOW: dict[str, Any] = {"at": NOW, "reason": EndReason.ENDED, "until": UNTIL}
_SUBJECTS = ["", "ana", "bob", "\u2603", "\U0001f511"]


class Steps(StoreSuite):
    """A realm is ended in bounded steps: all that was there when the walk began, each session once."""

    @pytest.mark.ids("M34")
    @in_each_colour
    async def test_a_realm_is_ended_in_bounded_steps_each_session_once(self, stage: Stage) -> None:
        stepping = _stepping(stage)
        sessions = [await stage.add(subject=_SUBJECTS[number % 5], user_agent="UA") for number in range(17)]
        others = [await stage.add(realm="staff"), await stage.add(ended_at=NOW - SECOND, end_reason=EndReason.REUSE)]
        steps = [step async for step in _walk(stepping, limit=3)]
        assert max(len(step.sessions) for step in steps) == 3
        told = [session for step in steps for session in step.sessions]
        assert sorted(told, key=_id) == sorted((_over(session) for session in sessions), key=_id)
        for session in sessions:
            assert await stage.store.get(session.id) == replace(_over(session), user_agent="")
        for session in others:
            assert await stage.store.get(session.id) == session

    @in_each_colour
    async def test_each_step_is_in_the_log_when_it_is_told(self, stage: Stage) -> None:
        stepping = _stepping(stage)
        for _ in range(5):
            await stage.add()
        told: set[str] = set()
        async for step in _walk(stepping, limit=2):
            told |= {session.id for session in step.sessions}
            entries = (await stage.store.revocations(None)).entries
            assert set(entries) == {Revocation(session_id=id_, floor=ENDED, until=UNTIL) for id_ in told}
        assert len(told) == 5

    @in_each_colour
    async def test_a_step_tells_what_was_alive_but_ends_all(self, stage: Stage) -> None:
        stepping = _stepping(stage)
        live = await stage.add()
        idle, old = await stage.add(idle_expires_at=NOW), await stage.add(expires_at=NOW)
        assert await stepping.end_step(REALM, limit=10, **HOW) == EndStep(sessions=[_over(live)], cursor=None)
        assert [(await stage.row(session)).end_reason for session in (idle, old)] == [EndReason.ENDED] * 2
        assert len((await stage.store.revocations(None)).entries) == 3

    @in_each_colour
    async def test_a_walk_that_is_begun_again_ends_what_is_left_and_tells_nothing_twice(self, stage: Stage) -> None:
        stepping = _stepping(stage)
        for _ in range(5):
            await stage.add()
        first = await stepping.end_step(REALM, limit=2, **HOW)
        again = [session async for step in _walk(stepping, limit=2) for session in step.sessions]
        assert len({session.id for session in [*first.sessions, *again]}) == len(first.sessions) + len(again) == 5
        assert [session async for step in _walk(stepping, limit=2) for session in step.sessions] == []
        assert len((await stage.store.revocations(None)).entries) == 5

    @in_each_colour
    async def test_what_was_there_when_a_walk_began_is_over_at_its_end_whatever_happens_meanwhile(
        self, stage: Stage
    ) -> None:
        # Sign-ins, refreshes, ends and purges between the steps, before and behind where the walk is.
        stepping = _stepping(stage)
        sessions = [await stage.add(subject=_SUBJECTS[number % 5]) for number in range(15)]
        gone = await stage.add(subject="bob", expires_at=NOW - MICROSECOND)
        behind: list[Session] = []
        number = 0
        async for _ in _walk(stepping, limit=2):
            behind += [await stage.add(subject=subject) for subject in ("", "zoe")] if number < 5 else []
            await stage.store.advance(turn_of(sessions[-1 - number % 15]))
            await stage.store.end([sessions[number % 15].id], **HOW)
            if number == 1:
                await stage.store.purge(NOW, limit=100)
            number += 1
        assert await stage.store.get(gone.id) is None
        for session in sessions:
            assert (await stage.row(session)).ended_at == NOW
        for session in behind:  # some of them are over, and none is harmed beside that
            row = await stage.row(session)
            assert row in (session, _over(session))  # a set would want a hash

    @in_each_colour
    async def test_an_empty_realm_is_over_at_once_and_a_step_that_goes_nowhere_is_refused(self, stage: Stage) -> None:
        stepping = _stepping(stage)
        session = await stage.add()
        for realm in ("nobody", "", "lone \ud800"):
            assert await stepping.end_step(realm, limit=1, **HOW) == EndStep(sessions=[], cursor=None)
        for limit, after in ((0, None), (-1, None), (1, "nonsense"), (1, "")):
            with pytest.raises(ValueError):
                await stepping.end_step(REALM, limit=limit, after=after, **HOW)
        assert await stage.store.get(session.id) == session

    @in_each_colour
    async def test_of_two_walks_at_once_each_session_is_told_to_one(self, stage: Stage) -> None:
        stepping = _stepping(stage)
        sessions = [await stage.add(subject=_SUBJECTS[number % 5]) for number in range(40)]

        def walk() -> Callable[[], Coroutine[Any, Any, list[Session]]]:
            async def act() -> list[Session]:
                return [session async for step in _walk(stepping, limit=4) for session in step.sessions]

            return act

        told = [session for each in await stage.together([walk() for _ in range(4)]) for session in each]
        assert sorted(map(_id, told)) == sorted(map(_id, sessions))
        assert len((await stage.store.revocations(None)).entries) == 40


def _stepping(stage: Stage) -> Stepping:
    if not hasattr(stage.store, "end_step"):
        pytest.skip("the store does not end a realm step by step: keyturn.stores.Stepping")
    return cast("Stepping", stage.store)


async def _walk(stepping: Stepping, limit: int) -> AsyncIterator[EndStep]:
    step = await stepping.end_step(REALM, limit=limit, **HOW)
    yield step
    while step.cursor is not None:
        step = await stepping.end_step(REALM, limit=limit, after=step.cursor, **HOW)
        yield step


def _over(session: Session) -> Session:
    return replace(session, ended_at=NOW, end_reason=EndReason.ENDED)


def _id(session: Session) -> str:
    return session.id
