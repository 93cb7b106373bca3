"""The store suite's part on ends: of sessions, and of what is kept about them (the log, the rows)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, cast

import pytest

from ..session import EndReason, Session
from ..stores import ENDED, Counting, Purged, Revocation, SessionStore
from ._store_stage import MICROSECOND, NOW, REALM, SECOND, SUBJECT, UNTIL, Stage, StoreSuite, in_each_colour, turn_of

#: How sessions end here.
HOW: dict[str, Any] = {"at": NOW, "reason": EndReason.LOGOUT, "until": UNTIL}


class Ends(StoreSuite):
    """A session ends once, for good, and the log says so; what is over is purged in bounded steps."""

    @in_each_colour
    async def test_an_end_is_told_stored_and_announced(self, stage: Stage) -> None:
        session = await stage.add(user_agent="UA", ip="::1", device_name="phone", generation=3)
        other = await stage.add()
        told = await stage.store.end([session.id], **HOW)
        assert told == [replace(session, ended_at=NOW, end_reason=EndReason.LOGOUT)]
        assert await stage.store.get(session.id) == replace(told[0], user_agent="", ip="", device_name="")
        assert await stage.store.get(other.id) == other
        assert (await stage.store.revocations(None)).entries == [_end_of(session)]

    @in_each_colour
    async def test_an_end_is_told_once_and_keeps_its_first_reason(self, stage: Stage) -> None:
        session = await stage.add()
        assert len(await stage.store.end([session.id, session.id], **HOW)) == 1
        row = await stage.row(session)
        assert not await stage.store.end([session.id], at=NOW + SECOND, reason=EndReason.REUSE, until=UNTIL)
        assert not await stage.store.end_all(REALM, SUBJECT, **HOW)
        assert await stage.store.get(session.id) == row
        assert len((await stage.store.revocations(None)).entries) == 1

    @in_each_colour
    async def test_several_sessions_end_at_once_and_none_is_no_trouble(self, stage: Stage) -> None:
        sessions = [await stage.add() for _ in range(5)]
        unknown = stage.session()
        await stage.store.end([sessions[0].id], **HOW)
        told = await stage.store.end((session.id for session in [*sessions, unknown]), **HOW)
        assert {session.id for session in told} == {session.id for session in sessions[1:]}
        assert not await stage.store.end([], **HOW)
        assert not await stage.store.find(REALM, SUBJECT, now=NOW)

    @pytest.mark.ids("P2")
    @in_each_colour
    async def test_after_its_end_a_session_neither_turns_nor_recovers_nor_is_required(self, stage: Stage) -> None:
        session = await stage.add()
        await stage.store.end([session.id], **HOW)
        row, log = await stage.row(session), await stage.store.revocations(None)
        assert await stage.store.advance(turn_of(session)) is None
        assert await stage.store.recover(session.id, generation=0, now=NOW) is None
        await stage.store.require({session.id: 7}, until=UNTIL)
        assert (await stage.row(session), await stage.store.revocations(None)) == (row, log)

    @pytest.mark.ids("M22")
    @in_each_colour
    async def test_all_of_a_users_sessions_end_but_for_the_one_to_keep(self, stage: Stage) -> None:
        sessions = [await stage.add() for _ in range(4)]
        others = [await stage.add(subject="bob"), await stage.add(realm="staff")]
        told = await stage.store.end_all(REALM, SUBJECT, keep=sessions[2].id, **HOW)
        assert _ids(told) == _ids(sessions) - {sessions[2].id}
        for session in [sessions[2], *others]:
            assert await stage.store.get(session.id) == session
        entries = (await stage.store.revocations(None)).entries
        assert {entry.session_id for entry in entries} == _ids(told)
        assert {entry.floor for entry in entries} == {ENDED}

    @in_each_colour
    async def test_told_are_only_sessions_that_were_alive_but_all_end(self, stage: Stage) -> None:
        live = await stage.add(user_agent="UA")
        await stage.add(idle_expires_at=NOW)
        await stage.add(expires_at=NOW)
        told = await stage.store.end_all(REALM, SUBJECT, **HOW)
        assert told == [replace(live, ended_at=NOW, end_reason=EndReason.LOGOUT)]
        assert not await stage.store.find(REALM, SUBJECT, now=NOW - SECOND)
        assert len((await stage.store.revocations(None)).entries) == 3

    @in_each_colour
    async def test_a_whole_realm_ends_however_large(self, stage: Stage) -> None:
        subjects = ["", "ana", "bob", "\u2603"]
        sessions = [await stage.add(subject=subjects[number % 4]) for number in range(1200)]
        other = await stage.add(realm="staff")
        ended = await stage.add(ended_at=NOW, end_reason=EndReason.LOGOUT)
        told = await stage.store.end_all(REALM, None, keep=sessions[7].id, **HOW)
        assert _ids(told) == _ids(sessions) - {sessions[7].id}
        assert len(told) == len(sessions) - 1
        for session in (sessions[7], other, ended):
            assert await stage.store.get(session.id) == session
        assert not await stage.store.end_all(REALM, None, keep=sessions[7].id, **HOW)
        assert not await stage.store.end_all("nobody", None, **HOW)

    @in_each_colour
    async def test_what_is_required_is_stored_and_announced_and_never_lowered(self, stage: Stage) -> None:
        session = await stage.add(generation=3)
        for floor, stored in ((4, 4), (2, 4), (6, 6)):
            await stage.store.require({session.id: floor}, until=UNTIL)
            assert await stage.store.get(session.id) == replace(session, access_floor=stored)
            assert (await stage.store.revocations(None)).entries[-1].floor == stored
        await stage.store.require({}, until=UNTIL)

    @in_each_colour
    async def test_requiring_again_announces_for_as_long_as_the_newest_call_says(self, stage: Stage) -> None:
        # A fresh access token below the floor may have been issued in between (a reissue).
        session = await stage.add()
        await stage.store.require({session.id: 1}, until=UNTIL)
        await stage.store.require({session.id: 1}, until=UNTIL + SECOND)
        last = (await stage.store.revocations(None)).entries[-1]
        assert last == Revocation(session_id=session.id, floor=1, until=UNTIL + SECOND)

    @in_each_colour
    async def test_the_log_is_read_on_from_where_one_was(self, stage: Stage) -> None:
        empty = await stage.store.revocations(None)
        assert (list(empty.entries), empty.complete) == ([], True)
        sessions = [await stage.add() for _ in range(3)]
        read: list[Revocation] = []
        position = empty.position
        for session in sessions:
            await stage.store.end([session.id], **HOW)
            news = await stage.store.revocations(position)
            assert news.complete
            read += news.entries
            position = news.position
        assert read == [_end_of(session) for session in sessions]
        assert (await stage.store.revocations(None)).entries == read
        assert not (await stage.store.revocations(position)).entries

    @in_each_colour
    async def test_a_position_that_is_not_of_this_log_gives_a_new_snapshot(self, stage: Stage) -> None:
        session = await stage.add()
        await stage.store.end([session.id], **HOW)
        foreign = await self._position_in_another_store()
        for position in ("", "0", "-1", "x", "9" * 30, "\u0663", foreign):
            news = await stage.store.revocations(position)
            assert (list(news.entries), news.complete) == ([_end_of(session)], False), position

    async def _position_in_another_store(self) -> str:
        other: SessionStore = self.make_store()
        stage = Stage(other, "sync")
        try:
            for _ in range(2):
                await other.end([(await stage.add()).id], **HOW)
            return (await other.revocations(None)).position
        finally:
            closed = self.close_store(other)
            if closed is not None:
                await closed

    @in_each_colour
    async def test_entries_go_when_their_time_has_passed_and_older_positions_get_a_snapshot(self, stage: Stage) -> None:
        start = (await stage.store.revocations(None)).position
        sessions = [await stage.add() for _ in range(3)]
        for number, session in enumerate(sessions):
            until = UNTIL + number * MICROSECOND
            await stage.store.end([session.id], at=NOW, reason=EndReason.LOGOUT, until=until)
        newest = (await stage.store.revocations(None)).position
        await stage.store.purge(UNTIL - MICROSECOND, limit=10)
        assert (await stage.store.revocations(start)).complete
        assert len((await stage.store.revocations(start)).entries) == 3
        await stage.store.purge(UNTIL + MICROSECOND, limit=10)
        left = [_end_of(sessions[2], until=UNTIL + 2 * MICROSECOND)]
        for after, entries, complete in ((None, left, True), (start, left, False), (newest, [], True)):
            news = await stage.store.revocations(after)
            assert (list(news.entries), news.complete) == (entries, complete)

    @in_each_colour
    async def test_positions_go_on_rising_after_the_log_was_emptied(self, stage: Stage) -> None:
        first, second = [await stage.add() for _ in range(2)]
        await stage.store.end([first.id], **HOW)
        position = (await stage.store.revocations(None)).position
        await stage.store.purge(UNTIL, limit=10)
        await stage.store.end([second.id], **HOW)
        news = await stage.store.revocations(position)
        assert (list(news.entries), news.complete) == ([_end_of(second)], True)

    @pytest.mark.ids("ST-04", "M13", "M34")
    @in_each_colour
    async def test_a_purge_takes_what_was_over_before_and_nothing_else(self, stage: Stage) -> None:
        over = [
            await stage.add(expires_at=NOW - MICROSECOND),
            await stage.add(idle_expires_at=NOW - MICROSECOND),
            await stage.add(ended_at=NOW - MICROSECOND, end_reason=EndReason.LOGOUT),
        ]
        kept = [
            await stage.add(),
            await stage.add(expires_at=NOW),
            await stage.add(idle_expires_at=NOW),
            await stage.add(ended_at=NOW, end_reason=EndReason.LOGOUT),
        ]
        if _counts(stage):
            assert await _counting(stage).purgeable(NOW, limit=100) == Purged(count=3, cursor=None)
            assert [await stage.store.get(session.id) for session in [*over, *kept]] == [*over, *kept]
        assert await stage.store.purge(NOW, limit=100) == Purged(count=3, cursor=None)
        assert [await stage.store.get(session.id) for session in over] == [None] * 3
        assert [await stage.store.get(session.id) for session in kept] == kept

    @pytest.mark.ids("M34")
    @in_each_colour
    async def test_a_purge_walks_in_bounded_steps(self, stage: Stage) -> None:
        sessions = [await stage.add(expires_at=NOW + (number % 2 or -1) * SECOND) for number in range(20)]
        counts, cursor = [], None
        for _ in range(20):
            step = await stage.store.purge(NOW, limit=3, after=cursor)
            counts.append(step.count)
            cursor = step.cursor
            if cursor is None:
                break
        assert cursor is None
        assert max(counts) <= 3
        assert sum(counts) == 10
        left = [session for session in sessions if await stage.store.get(session.id) is not None]
        assert left == [session for session in sessions if session.expires_at > NOW]

    @pytest.mark.ids("R76")
    @in_each_colour
    async def test_what_a_purge_would_delete_is_counted_in_the_same_steps_and_nothing_goes(self, stage: Stage) -> None:
        if not _counts(stage):
            pytest.skip("the store does not count what a purge would delete: keyturn.stores.Counting")
        store, counting = stage.store, _counting(stage)
        sessions = [await stage.add(expires_at=NOW + (number % 2 or -1) * SECOND) for number in range(10)]
        await store.end([sessions[0].id], at=NOW, reason=EndReason.LOGOUT, until=NOW - SECOND)
        kept = [await store.get(session.id) for session in sessions]
        foreseen = [step async for step in _walk(counting.purgeable)]
        assert [await store.get(session.id) for session in sessions] == kept
        assert len((await store.revocations(None)).entries) == 1, "the log is not what a count may shorten"
        assert foreseen == [step async for step in _walk(store.purge)]
        assert sum(step.count for step in foreseen) == 5
        for limit in (0, -1):
            with pytest.raises(ValueError):
                await counting.purgeable(NOW, limit=limit)

    @in_each_colour
    async def test_only_the_first_step_of_a_purge_drops_log_entries(self, stage: Stage) -> None:
        for _ in range(4):
            await stage.store.end([(await stage.add()).id], **HOW)
        step = await stage.store.purge(NOW, limit=2)
        assert step.cursor is not None
        await stage.store.purge(UNTIL, limit=2, after=step.cursor)
        assert len((await stage.store.revocations(None)).entries) == 4

    @in_each_colour
    async def test_a_purge_of_nothing_is_over_at_once_and_one_that_looks_at_nothing_is_refused(
        self, stage: Stage
    ) -> None:
        assert await stage.store.purge(NOW, limit=1) == Purged(count=0, cursor=None)
        for limit in (0, -1):
            with pytest.raises(ValueError):
                await stage.store.purge(NOW, limit=limit)


def _end_of(session: Session, **changes: Any) -> Revocation:
    return replace(Revocation(session_id=session.id, floor=ENDED, until=UNTIL), **changes)


def _ids(sessions: Any) -> set[str]:
    return {session.id for session in sessions}


def _counts(stage: Stage) -> bool:
    return hasattr(stage.store, "purgeable")


def _counting(stage: Stage) -> Counting:
    return cast("Counting", stage.store)


async def _walk(verb: Any) -> AsyncIterator[Purged]:
    """Take three rows a step until it is over."""
    step: Purged = await verb(NOW, limit=3)
    yield step
    while step.cursor is not None:
        step = await verb(NOW, limit=3, after=step.cursor)
        yield step
