"""The store suite's part on turning the key: every condition, every effect, every edge (docs/explanation/sessions.md)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ..session import EndReason, Session
from ..stores import MAX_RECOVERIES, Changes
from ._store_stage import MICROSECOND, NOW, SECOND, UNTIL, Stage, StoreSuite, in_each_colour, turn_of

BINDING = bytes(reversed(range(32)))
DAY = timedelta(days=1)


class Turns(StoreSuite):
    """One turn of the key changes exactly what it should, under exactly its conditions."""

    @in_each_colour
    async def test_a_turn_changes_what_it_should_and_nothing_else(self, stage: Stage) -> None:
        session = await stage.add(generation=4, delivered=3, binding=BINDING, claims={"a": 1}, scope="read", ip="::1")
        await stage.add()
        after = await stage.store.advance(turn_of(session, idle_remember=NOW + DAY, idle_session=NOW + SECOND))
        assert after == replace(session, generation=5, rotated_at=NOW, idle_expires_at=NOW + DAY)
        assert await stage.store.get(session.id) == after

    @pytest.mark.ids("P6")
    @in_each_colour
    async def test_a_turn_never_moves_the_absolute_end_and_caps_the_idle_end_by_it(self, stage: Stage) -> None:
        far, near = NOW + 100 * DAY, NOW + DAY
        cases = [
            (True, far, far, NOW + 90 * DAY),
            (True, near, far, near),
            (False, far, near, near),
            (False, near, far, NOW + 90 * DAY),
            (True, None, None, NOW + 30 * DAY),
            (False, None, None, NOW + 30 * DAY),
        ]
        for remember, idle_remember, idle_session, expected in cases:
            session = await stage.add(remember=remember)
            turn = turn_of(session, idle_remember=idle_remember, idle_session=idle_session)
            after = await stage.store.advance(turn)
            assert after is not None
            assert (after.idle_expires_at, after.expires_at) == (expected, session.expires_at)

    @pytest.mark.ids("RT-05", "RT-10", "M22")
    @in_each_colour
    async def test_a_turn_with_one_wrong_condition_changes_nothing(self, stage: Stage) -> None:
        cases: list[tuple[dict[str, Any], dict[str, Any]]] = [
            ({}, {"realm": "staff"}),
            ({}, {"realm": "Shop"}),
            ({}, {"transport": "body"}),
            ({}, {"client_id": "other"}),
            ({}, {"client_id": ""}),
            ({}, {"seed_digest": bytes(32)}),
            ({}, {"seed_digest": b""}),
            ({}, {"generation": 4}),
            ({}, {"generation": 3}),
            ({}, {"generation": 6}),
            ({}, {"binding": None}),
            ({}, {"binding": bytes(32)}),
            ({"binding": None}, {"binding": BINDING}),
            ({"binding": None}, {"binding": b""}),
            ({"floor": 6}, {}),
            ({"ended_at": NOW - SECOND, "end_reason": EndReason.LOGOUT}, {}),
            ({"ended_at": NOW + SECOND, "end_reason": EndReason.LOGOUT}, {}),
            ({"idle_expires_at": NOW}, {}),
            ({"expires_at": NOW}, {}),
        ]
        for row, turn in cases:
            session = await stage.add(**{"generation": 5, "binding": BINDING, **row})
            changes = Changes(floor=6, access_floor=6, until=UNTIL)
            wrong = replace(turn_of(session, changes=changes), **{"binding": session.binding, **turn})
            assert await stage.store.advance(wrong) is None, (row, turn)
            assert await stage.store.get(session.id) == session
        assert not (await stage.store.revocations(None)).entries

    @in_each_colour
    async def test_a_turn_that_names_no_client_serves_every_client(self, stage: Stage) -> None:
        session = await stage.add(client_id="shop-app")
        assert await stage.store.advance(turn_of(session, client_id=None)) is not None

    @in_each_colour
    async def test_two_missing_bindings_are_equal(self, stage: Stage) -> None:
        for binding in (None, BINDING):
            assert await stage.store.advance(turn_of(await stage.add(binding=binding))) is not None

    @in_each_colour
    async def test_a_turn_on_the_floor_works(self, stage: Stage) -> None:
        assert await stage.store.advance(turn_of(await stage.add(generation=5, floor=5))) is not None

    @pytest.mark.ids("RT-09", "M33")
    @in_each_colour
    async def test_a_session_turns_until_the_instant_of_its_end_and_not_at_it(self, stage: Stage) -> None:
        for end in ("idle_expires_at", "expires_at"):
            session = await stage.add(**{end: NOW + MICROSECOND})
            assert await stage.store.advance(turn_of(session, now=NOW + MICROSECOND)) is None
            assert await stage.store.advance(turn_of(session)) is not None

    @pytest.mark.ids("M03", "P7")
    @in_each_colour
    async def test_turns_within_one_microsecond_are_told_apart_by_generation(self, stage: Stage) -> None:
        session = await stage.add(rotated_at=NOW)
        for generation in range(5):
            turn = turn_of(session, generation=generation, to=generation + 1)
            assert await stage.store.advance(turn) is not None
            assert await stage.store.advance(turn) is None

    @pytest.mark.ids("RT-03")
    @in_each_colour
    async def test_a_turn_that_asks_for_a_wait_is_refused_until_the_wait_is_over(self, stage: Stage) -> None:
        early = NOW - DAY
        for rotated_at, recovered_at, waited in (
            (NOW, None, True),
            (NOW + MICROSECOND, None, False),
            (early, NOW, True),
            (early, NOW + MICROSECOND, False),
            (NOW + MICROSECOND, early, False),
        ):
            session = await stage.add(generation=1, rotated_at=rotated_at, recovered_at=recovered_at)
            after = await stage.store.advance(turn_of(session, turned_before=NOW))
            assert (after is not None) is waited, (rotated_at, recovered_at)

    @pytest.mark.ids("RT-03")
    @in_each_colour
    async def test_nobody_waits_for_a_first_turn_or_a_required_one_or_where_none_asks(self, stage: Stage) -> None:
        just_now = {"rotated_at": NOW, "recovered_at": NOW}
        for row, turned_before, waits in (
            ({"generation": 0}, NOW - SECOND, False),
            ({"generation": 2, "access_floor": 3}, NOW - SECOND, False),
            ({"generation": 2, "access_floor": 2}, NOW - SECOND, True),
            ({"generation": 2}, None, False),
        ):
            session = await stage.add(**just_now, **row)
            after = await stage.store.advance(turn_of(session, turned_before=turned_before))
            assert (after is None) is waits, row

    @in_each_colour
    async def test_a_turn_forgets_a_recovery_and_counts_anew_only_if_there_was_none(self, stage: Stage) -> None:
        for recovered_at, recoveries in ((NOW - DAY, 5), (None, 0)):
            session = await stage.add(recovered_at=recovered_at, recoveries=5)
            after = await stage.store.advance(turn_of(session))
            assert after is not None
            assert (after.recovered_at, after.recoveries) == (None, recoveries)

    @in_each_colour
    async def test_a_row_that_lost_writes_moves_ahead_in_one_turn(self, stage: Stage) -> None:
        after = await stage.store.advance(turn_of(await stage.add(generation=3), to=8))
        assert after is not None
        assert after.generation == 8

    @in_each_colour
    async def test_a_step_up_changes_what_it_names_and_announces_its_floor(self, stage: Stage) -> None:
        session = await stage.add(generation=1, claims={"a": 1}, scope="read", amr=("pwd",))
        changes = Changes(
            floor=2, access_floor=2, until=UNTIL, authenticated_at=NOW, amr=("pwd", "otp"), scope="read write",
            claims={"b": [2]}, binding=BINDING,
        )  # fmt: skip
        after = await stage.store.advance(turn_of(session, changes=changes))
        assert after == replace(
            session, generation=2, rotated_at=NOW, floor=2, access_floor=2, authenticated_at=NOW, amr=("pwd", "otp"),
            scope="read write", claims={"b": [2]}, binding=BINDING,
        )  # fmt: skip
        assert await stage.store.get(session.id) == after
        assert await _announced(stage) == [(session.id, 2, UNTIL)]

    @in_each_colour
    async def test_a_step_up_leaves_what_it_does_not_name(self, stage: Stage) -> None:
        session = await stage.add(claims={"a": 1}, scope="read", amr=("pwd",), binding=BINDING)
        changes = Changes(floor=1, access_floor=1, until=UNTIL)
        after = await stage.store.advance(turn_of(session, changes=changes))
        assert after == replace(session, generation=1, rotated_at=NOW, floor=1, access_floor=1)

    @in_each_colour
    async def test_a_step_up_lowers_no_floor(self, stage: Stage) -> None:
        session = await stage.add(generation=3, floor=3, access_floor=9)
        changes = Changes(floor=2, access_floor=4, until=UNTIL)
        after = await stage.store.advance(turn_of(session, changes=changes))
        assert after is not None
        assert (after.floor, after.access_floor) == (3, 9)
        assert await _announced(stage) == [(session.id, 9, UNTIL)]

    @in_each_colour
    async def test_a_step_up_that_cannot_be_stored_changes_nothing(self, stage: Stage) -> None:
        session = await stage.add()
        for bad in ({"scope": "\ud800"}, {"amr": ("\ud800",)}, {"claims": {"a": float("nan")}}):
            changes: Any = {"floor": 1, "access_floor": 1, "until": UNTIL, **bad}
            with pytest.raises(ValueError):
                await stage.store.advance(turn_of(session, changes=Changes(**changes)))
        assert await stage.store.get(session.id) == session

    @pytest.mark.ids("P5")
    @in_each_colour
    async def test_a_recovery_is_counted_and_changes_nothing_else(self, stage: Stage) -> None:
        session = await stage.add(generation=2, claims={"a": 1})
        after = await stage.store.recover(session.id, generation=2, now=NOW)
        assert after == replace(session, recovered_at=NOW, recoveries=1)
        assert await stage.store.get(session.id) == after

    @in_each_colour
    async def test_a_recovery_is_refused_for_a_row_that_moved_or_ended(self, stage: Stage) -> None:
        moved = await stage.add(generation=2)
        ended = await stage.add(generation=1, ended_at=NOW, end_reason=EndReason.LOGOUT)
        for session in (moved, ended):
            for generation in (1, 3):
                assert await stage.store.recover(session.id, generation=generation, now=NOW) is None
            assert await stage.store.get(session.id) == session

    @in_each_colour
    async def test_there_are_eight_recoveries_in_a_row_and_no_more(self, stage: Stage) -> None:
        session = await stage.add()
        counted = [await stage.store.recover(session.id, generation=0, now=NOW) for _ in range(MAX_RECOVERIES + 2)]
        assert [row and row.recoveries for row in counted] == [1, 2, 3, 4, 5, 6, 7, 8, None, None]
        assert (await stage.row(session)).recoveries == MAX_RECOVERIES == 8

    @in_each_colour
    async def test_an_acknowledgement_raises_what_was_delivered_and_never_lowers_it(self, stage: Stage) -> None:
        session = await stage.add(generation=5, delivered=2)
        for generation, delivered in ((4, 4), (3, 4), (4, 4), (9, 5), (0, 5)):
            await stage.store.acknowledge({session.id: generation})
            assert await stage.store.get(session.id) == replace(session, delivered=delivered)

    @in_each_colour
    async def test_acknowledgements_come_in_batches(self, stage: Stage) -> None:
        sessions: list[Session] = [await stage.add(generation=7) for _ in range(5)]
        await stage.store.acknowledge({session.id: number for number, session in enumerate(sessions)})
        assert [(await stage.row(session)).delivered for session in sessions] == [0, 1, 2, 3, 4]
        await stage.store.acknowledge({})


async def _announced(stage: Stage) -> list[tuple[Any, ...]]:
    entries = (await stage.store.revocations(None)).entries
    return [(entry.session_id, entry.floor, entry.until) for entry in entries]
