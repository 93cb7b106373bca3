"""The store suite's part on rows: what is stored comes back as it was, and the boring cases."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, timedelta, timezone
from typing import cast

import pytest

from ..errors import StoreError
from ..session import MAX_GENERATION, EndReason, Session
from ..stores import ENDED, Admitting
from ._store_stage import MICROSECOND, NOW, REALM, SECOND, SUBJECT, Stage, StoreSuite, in_each_colour, turn_of

#: Texts that have broken stores before: a store gives them back as they were, or refuses with ValueError.
HOSTILE = (
    "nul\x00inside",
    "lone \ud800 surrogate",
    "'; DROP TABLE keyturn_session; --",
    '"double" `back` \\backslash\\ %s %(name)s {0} $1 ?1 :name',
    "line\r\nbreak\ttab\x1b[31m",
    " spaces around ",
    "e\u0301 is not \xe9",
    "\U0001f511 key \u202e reversed \ufeff",
    "x" * 10_000,
)
#: Not one of these is a session's id.
NO_IDS = (
    "",
    "x",
    "A" * 21,
    "A" * 21 + "B",
    "A" * 23,
    "\xe9" * 22,
    "A" * 21 + "\x00",
    "lone \ud800 surrogate",
    "%",
    "'",
)


class Rows(StoreSuite):
    """What is stored comes back as it was."""

    @pytest.mark.ids("M31")
    @in_each_colour
    async def test_every_field_comes_back_as_it_was(self, stage: Stage) -> None:
        times = iter(NOW + n * SECOND + n * MICROSECOND for n in range(1, 8))
        full = stage.session(
            client_id="shop-app", transport="body", remember=False, binding=bytes(reversed(range(32))),
            generation=MAX_GENERATION, delivered=MAX_GENERATION - 1, floor=3, access_floor=ENDED,
            rotated_at=next(times), recovered_at=next(times), recoveries=7, authenticated_at=next(times),
            amr=("pwd", "otp"), created_at=next(times), idle_expires_at=next(times), ended_at=next(times),
            end_reason=EndReason.CREDENTIALS_CHANGED, scope="read write", device_name="Ana's phone", ip="2001:db8::1",
            claims={"tenant": 7, "tags": ["a", {"b": None}], "ratio": 0.1, "on": True, "na\xefve": "\ud800"},
            user_agent="Mozilla/5.0",
        )  # fmt: skip
        bare = stage.session()
        for session in (full, bare):
            await stage.store.add(session)
            assert await stage.store.get(session.id) == session

    @in_each_colour
    async def test_times_come_back_in_utc_to_the_microsecond(self, stage: Stage) -> None:
        elsewhere = NOW.astimezone(timezone(timedelta(hours=5, minutes=45)))
        row = await stage.row(await stage.add(rotated_at=elsewhere, recovered_at=elsewhere))
        for time in (row.created_at, row.expires_at, row.idle_expires_at, row.authenticated_at):
            assert time.tzinfo is UTC
            assert time.microsecond == NOW.microsecond
        assert (row.rotated_at, row.recovered_at) == (NOW, NOW)

    @in_each_colour
    async def test_an_id_that_is_unknown_or_no_id_at_all_gives_nothing(self, stage: Stage) -> None:
        await stage.add()
        unknown = stage.session()
        for id_ in (unknown.id, *NO_IDS):
            assert await stage.store.get(id_) is None
            assert await stage.store.advance(turn_of(unknown, id=id_)) is None
            assert await stage.store.recover(id_, generation=0, now=NOW) is None
            assert not await stage.store.end([id_], at=NOW, reason=EndReason.ENDED, until=NOW)
            await stage.store.acknowledge({id_: 1})
            await stage.store.require({id_: 1}, until=NOW)
        assert not (await stage.store.revocations(None)).entries

    @in_each_colour
    async def test_a_session_whose_id_is_no_id_is_refused(self, stage: Stage) -> None:
        for id_ in NO_IDS:
            with pytest.raises(ValueError, match="session id"):
                await stage.store.add(stage.session(id=id_))
        assert not await stage.store.find(REALM, SUBJECT, now=NOW)

    @in_each_colour
    async def test_a_second_session_with_the_same_id_is_refused_and_changes_nothing(self, stage: Stage) -> None:
        first = await stage.add()
        with pytest.raises(StoreError):
            await stage.add(id=first.id, subject="mallory")
        assert await stage.store.get(first.id) == first
        assert not await stage.store.find(REALM, "mallory", now=NOW)

    @pytest.mark.ids("ST-02")
    @in_each_colour
    async def test_hostile_texts_come_back_as_they_were_or_are_refused_whole(self, stage: Stage) -> None:
        for text in HOSTILE:
            everywhere = dict.fromkeys(("user_agent", "ip", "device_name", "scope", "client_id"), text)
            session = stage.session(**everywhere, subject=text[:255], amr=(text,), claims={"text": text})
            try:
                await stage.store.add(session)
            except ValueError:
                assert await stage.store.get(session.id) is None
            else:
                assert await stage.store.get(session.id) == session
                assert await stage.store.find(REALM, session.subject, now=NOW) == [session]

    @in_each_colour
    async def test_texts_without_anything_odd_are_never_refused(self, stage: Stage) -> None:
        for text in ("O'Hara", "\U0001f511 \xe9", "a\\b", "100 %", "", "y" * 10_000):
            row = await stage.row(await stage.add(user_agent=text, device_name=text))
            assert (row.user_agent, row.device_name) == (text, text)

    @pytest.mark.ids("ST-02")
    @in_each_colour
    async def test_hostile_texts_find_and_change_nothing(self, stage: Stage) -> None:
        session = await stage.add()
        for text in HOSTILE:
            await _try_every_lookup(stage, text)
            turns = [turn_of(session, realm=text), turn_of(session, client_id=text), turn_of(session, id=text)]
            assert [await stage.store.advance(turn) for turn in turns] == [None] * 3
        assert await stage.store.get(session.id) == session
        assert not (await stage.store.revocations(None)).entries

    @in_each_colour
    async def test_claims_that_are_no_json_are_refused_whole(self, stage: Stage) -> None:
        for value in (float("nan"), float("inf"), object(), b"bytes", {1, 2}):
            session = stage.session(claims={"value": value})
            with pytest.raises((ValueError, TypeError)):
                await stage.store.add(session)
            assert await stage.store.get(session.id) is None

    @in_each_colour
    async def test_nobody_changes_stored_claims_by_changing_what_was_given_or_received(self, stage: Stage) -> None:
        claims = {"roles": ["reader"]}
        session = await stage.add(claims=claims)
        claims["roles"].append("admin")
        for _ in range(2):
            row = await stage.row(session)
            assert row.claims == {"roles": ["reader"]}
            row.claims["roles"].append("admin")

    @in_each_colour
    async def test_a_users_live_sessions_are_found_oldest_first(self, stage: Stage) -> None:
        ages = (3, 1, 2, 2)
        sessions = [await stage.add(created_at=NOW - age * SECOND) for age in ages]
        await stage.add(subject="bob")
        await stage.add(realm="staff")
        found = await stage.store.find(REALM, SUBJECT, now=NOW)
        assert found == sorted(sessions, key=lambda session: (session.created_at, session.id))

    @pytest.mark.ids("SE-05")
    @in_each_colour
    async def test_a_session_kept_among_too_many_brings_the_ids_of_all_oldest_first(self, stage: Stage) -> None:
        """For a store that does both in one step (`keyturn.stores.Admitting`), and for one that takes two."""
        await stage.add(realm="staff")
        await stage.add(subject="bob")
        await stage.add(idle_expires_at=NOW)
        await stage.add(expires_at=NOW)
        await stage.add(ended_at=NOW - SECOND, end_reason=EndReason.LOGOUT)
        younger, older = await stage.add(created_at=NOW - MICROSECOND), await stage.add(created_at=NOW - SECOND)
        new, twin = stage.session(created_at=NOW), stage.session(created_at=NOW)
        assert await _kept(stage, new, 3) == []
        assert await stage.row(new) == new
        assert await _kept(stage, twin, 3) == [older.id, younger.id, *sorted([new.id, twin.id])]

    @in_each_colour
    async def test_a_session_kept_among_others_is_refused_as_any_is(self, stage: Stage) -> None:
        session = await stage.add(created_at=NOW)
        with pytest.raises(StoreError):
            await _kept(stage, replace(session, subject="mallory"), 0)
        with pytest.raises(ValueError, match="surrogate"):
            await _kept(stage, stage.session(subject="lone \ud800 surrogate"), 0)
        assert await stage.row(session) == session
        assert await stage.store.find(REALM, "mallory", now=NOW) == []

    @pytest.mark.ids("M22")
    @in_each_colour
    async def test_a_subject_or_realm_that_merely_looks_alike_is_another(self, stage: Stage) -> None:
        await stage.add()
        for other in ("Ana", "ANA", "ana ", " ana", "an\xe1", "a%", "an_", "ana\x00", "", "an"):
            assert not await stage.store.find(REALM, other, now=NOW), other
            assert not await stage.store.find(other, SUBJECT, now=NOW), other
        assert not await stage.store.find(REALM.upper(), SUBJECT, now=NOW)

    @pytest.mark.ids("M13")
    @in_each_colour
    async def test_a_session_is_found_until_the_instant_of_its_end_and_not_at_it(self, stage: Stage) -> None:
        idle = await stage.add(subject="idle", idle_expires_at=NOW)
        over = await stage.add(subject="over", expires_at=NOW)
        ended = await stage.add(subject="ended", ended_at=NOW + SECOND, end_reason=EndReason.LOGOUT)
        for session in (idle, over):
            assert await stage.store.find(REALM, session.subject, now=NOW - MICROSECOND) == [session]
            assert not await stage.store.find(REALM, session.subject, now=NOW)
        assert not await stage.store.find(REALM, ended.subject, now=NOW - SECOND)
        assert [await stage.store.get(session.id) for session in (idle, over, ended)] == [idle, over, ended]


async def _try_every_lookup(stage: Stage, text: str) -> None:
    store, why = stage.store, EndReason.ENDED
    assert not await store.find(REALM, text, now=NOW)
    assert not await store.find(text, SUBJECT, now=NOW)
    assert not await store.end_all(REALM, text, at=NOW, reason=why, until=NOW)
    assert not await store.end_all(text, None, at=NOW, reason=why, until=NOW)
    assert not await store.end([text], at=NOW, reason=why, until=NOW)
    with suppress(ValueError):  # no cursor of ours
        await store.purge(NOW, limit=10, after=text)
    assert not (await store.revocations(text)).complete


async def _kept(stage: Stage, session: Session, limit: int) -> list[str]:
    """Keep a session as a sign-in does."""
    if hasattr(stage.store, "add_among"):
        return list(await cast("Admitting", stage.store).add_among(session, limit=limit))
    await stage.store.add(session)
    live = await stage.store.find(session.realm, session.subject, now=session.created_at)
    return [each.id for each in live] if len(live) > limit else []
