"""The store suite's part on races: many callers at once, as threads or as tasks."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from itertools import count
from typing import Any

import pytest

from ..session import EndReason, Session
from ..stores import MAX_RECOVERIES, Changes
from ._store_stage import NOW, REALM, SUBJECT, UNTIL, Stage, StoreSuite, in_each_colour, turn_of

HOW: dict[str, Any] = {"at": NOW, "reason": EndReason.LOGOUT_ALL, "until": UNTIL}


class Races(StoreSuite):
    """What holds for one caller holds for many at once."""

    @pytest.mark.ids("M01", "RT-05")
    @in_each_colour
    async def test_of_64_equal_turns_one_wins(self, stage: Stage) -> None:
        session = await stage.add()
        turn = turn_of(session, changes=Changes(floor=1, access_floor=1, until=UNTIL))
        answers = await stage.together([lambda: stage.store.advance(turn)] * 64)
        winners = [row for row in answers if row is not None]
        assert len(winners) == 1
        assert await stage.store.get(session.id) == winners[0]
        assert winners[0].generation == 1
        assert len((await stage.store.revocations(None)).entries) == 1

    @in_each_colour
    async def test_64_turns_of_different_sessions_all_win_and_get_their_own_row(self, stage: Stage) -> None:
        sessions = [await stage.add(subject=f"user {number}", generation=number) for number in range(64)]

        def turning(session: Session) -> Callable[[], Coroutine[Any, Any, Session | None]]:
            return lambda: stage.store.advance(turn_of(session))

        answers = await stage.together([turning(session) for session in sessions])
        assert [row and (row.id, row.generation) for row in answers] == [
            (session.id, session.generation + 1) for session in sessions
        ]

    @pytest.mark.ids("M02", "P2")
    @in_each_colour
    async def test_no_turn_that_begins_after_an_end_succeeds(self, stage: Stage) -> None:
        for _ in range(10):
            session = await stage.add()
            ended: list[bool] = []

            async def turn(session: Session = session, ended: list[bool] = ended) -> bool:
                """Turn until refused; say whether a turn that began after the end succeeded."""
                for generation in count():
                    await stage.breathe()
                    late = bool(ended)
                    row = await stage.store.advance(turn_of(session, generation=generation, to=generation + 1))
                    if row is None:
                        return False
                    if late:
                        return True
                raise AssertionError  # nobody gets here: the count has no end

            async def end(session: Session = session, ended: list[bool] = ended) -> bool:
                try:
                    for _ in range(5):
                        await stage.breathe()
                    return len(await stage.store.end([session.id], **HOW)) != 1
                finally:
                    ended.append(True)

            assert not any(await stage.together([turn, end]))
            last = await stage.row(session)
            assert last.ended_at == NOW
            assert await stage.store.advance(turn_of(session, generation=last.generation)) is None

    @in_each_colour
    async def test_of_32_that_end_a_session_one_is_told(self, stage: Stage) -> None:
        session = await stage.add()
        ends = [
            lambda: stage.store.end([session.id], **HOW),
            lambda: stage.store.end_all(REALM, SUBJECT, **HOW),
            lambda: stage.store.end_all(REALM, None, **HOW),
            lambda: stage.store.end([session.id], at=NOW, reason=EndReason.REUSE, until=UNTIL),
        ]
        answers = await stage.together(ends * 8)
        assert sum(map(len, answers)) == 1
        assert len((await stage.store.revocations(None)).entries) == 1

    @in_each_colour
    async def test_of_64_recoveries_eight_are_counted(self, stage: Stage) -> None:
        session = await stage.add()
        recover = [lambda: stage.store.recover(session.id, generation=0, now=NOW)] * 64
        answers = [row for row in await stage.together(recover) if row is not None]
        assert sorted(row.recoveries for row in answers) == list(range(1, MAX_RECOVERIES + 1))

    @in_each_colour
    async def test_the_highest_of_many_acknowledgements_and_requirements_stays(self, stage: Stage) -> None:
        session = await stage.add(generation=40)

        def both(number: int) -> Callable[[], Coroutine[Any, Any, None]]:
            async def act() -> None:
                await stage.store.acknowledge({session.id: number})
                await stage.store.require({session.id: number}, until=UNTIL)

            return act

        await stage.together([both(number * 7 % 32) for number in range(32)])
        row = await stage.row(session)
        assert (row.delivered, row.access_floor) == (31, 31)

    @in_each_colour
    async def test_readers_of_the_log_miss_nothing_while_many_write_it(self, stage: Stage) -> None:
        sessions = [[await stage.add() for _ in range(20)] for _ in range(8)]
        everything = {session.id for batch in sessions for session in batch}
        writing = [True] * len(sessions)

        async def read() -> list[str]:
            seen: list[str] = []
            position: str | None = None
            last_look = False
            while not last_look:
                await stage.breathe()
                last_look = not writing
                news = await stage.store.revocations(position)
                assert news.complete
                seen += [entry.session_id for entry in news.entries]
                position = news.position
            return seen

        def end(batch: list[Session]) -> Callable[[], Coroutine[Any, Any, list[str]]]:
            async def act() -> list[str]:
                try:
                    for session in batch:
                        await stage.breathe()
                        await stage.store.end([session.id], **HOW)
                finally:
                    writing.pop()
                return []

            return act

        seen = await stage.together([read, read, *(end(batch) for batch in sessions)])
        assert set(seen[0]) == set(seen[1]) == everything

    @pytest.mark.ids("M18")
    @in_each_colour
    async def test_of_1000_logins_none_that_came_before_the_end_of_all_survives(self, stage: Stage) -> None:
        logins = [[stage.session() for _ in range(50)] for _ in range(20)]
        came: list[str] = []
        before: list[str] = []

        def log_in(number: int) -> Callable[[], Coroutine[Any, Any, list[Session]]]:
            async def act() -> list[Session]:
                told: list[Session] = []
                for nth, session in enumerate(logins[number]):
                    await stage.breathe()
                    await stage.store.add(session)
                    came.append(session.id)
                    if number == 0 and nth == 25:
                        before.extend(came)
                        told = list(await stage.store.end_all(REALM, SUBJECT, **HOW))
                return told

            return act

        told, *_ = await stage.together([log_in(number) for number in range(20)])
        alive = {session.id for session in await stage.store.find(REALM, SUBJECT, now=NOW)}
        assert len(before) >= 26
        assert not alive & set(before)
        assert alive | {session.id for session in told} == {session.id for batch in logins for session in batch}
        assert not alive & {session.id for session in told}

    @in_each_colour
    async def test_a_purge_beside_turns_takes_no_live_session(self, stage: Stage) -> None:
        live = [await stage.add() for _ in range(10)]
        for _ in range(50):
            await stage.add(expires_at=NOW)

        async def purge() -> int:
            purged, cursor = 0, None
            while True:
                await stage.breathe()
                step = await stage.store.purge(UNTIL, limit=5, after=cursor)
                purged, cursor = purged + step.count, step.cursor
                if cursor is None:
                    return purged

        def turning(session: Session) -> Callable[[], Coroutine[Any, Any, int]]:
            async def act() -> int:
                for generation in range(10):
                    await stage.breathe()
                    turn = turn_of(session, generation=generation, to=generation + 1)
                    assert await stage.store.advance(turn) is not None
                return 0

            return act

        counts = await stage.together([purge, *(turning(session) for session in live)])
        assert counts[0] == 50
        assert [(await stage.row(session)).generation for session in live] == [10] * 10
