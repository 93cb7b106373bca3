"""Weeks of one session's life, invented by hypothesis: an honest client, its network, a thief, two issuers, one store.

The model beside it is written from the protocol's sentences and shares no code with the product. After every step the
stored row must equal the model's, and P1 to P7 must hold. More examples: ``--hypothesis-profile=thorough``.
"""

import sqlite3
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from keyturn._binding import presented_digest
from keyturn._flows import Outcome
from keyturn._policy import Presented
from keyturn.errors import BindingMismatchError, SessionEndedError, TokenError, TokenExpiredError, TokenStaleError
from keyturn.events import RefreshRecovered, ReuseDetected, StoreWentBack
from keyturn.session import EndReason
from keyturn.settings import Settings
from keyturn.stores.memory import MemoryStore
from keyturn.stores.sqlite import SqliteStore
from keyturn.testing.clock import ManualClock
from keyturn.testing.entropy import CountingEntropy
from tests.support.all_stores import OpenedWay
from tests.support.desk import Desk, a_desk
from tests.support.effort import examples
from tests.support.rows import DAY, settings_with

ZERO = timedelta(0)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
#: A thief who turned first and stayed silent is honoured no longer than this (row 10).
PATIENCE = 8


# --- the stores, and how they lose what they had ---------------------------------------------------------------------


class MemoryWorld:
    """A memory store that can be put back to an earlier moment."""

    def __init__(self) -> None:
        self.store: Any = MemoryStore()

    def snapshot(self) -> Any:
        store = self.store
        return dict(store._rows), list(store._log), store._head, store._dropped

    def restore(self, saved: Any) -> None:
        rows, log, head, dropped = saved
        store = self.store
        store._rows, store._log, store._head, store._dropped = dict(rows), list(log), head, dropped

    def close(self) -> None:
        """Nothing to let go."""


class SqliteWorld:
    """A SQLite file that can be put back to an earlier copy, as an administrator would from a backup."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._path = Path(self._folder.name) / "sessions.db"
        self.store: Any = SqliteStore(self._path, synchronous="NORMAL")
        self._copies: list[sqlite3.Connection] = []

    def snapshot(self) -> Any:
        copy = sqlite3.connect(":memory:")
        self._copies.append(copy)
        self._copy(self._path, copy)
        return copy

    def restore(self, saved: Any) -> None:
        self.store.close()
        self._copy(saved, self._path)

    @staticmethod
    def _copy(source: Any, target: Any) -> None:
        opened = [sqlite3.connect(each) for each in (source, target) if isinstance(each, Path)]
        left = source if not isinstance(source, Path) else opened[0]
        right = target if not isinstance(target, Path) else opened[-1]
        left.backup(right)
        for each in opened:
            each.close()

    def close(self) -> None:
        self.store.close()
        for copy in self._copies:
            copy.close()
        self._folder.cleanup()


class ServerWorld:
    """A store on a server, whose tables can be put back to an earlier copy."""

    def __init__(self, way: OpenedWay) -> None:
        self._way = way
        self.store: Any = way.backing().store
        self.snapshot, self.restore = way.snapshot, way.restore

    def close(self) -> None:
        """The store is everybody's."""


# --- the model ------------------------------------------------------------------------------------------------------


@dataclass
class Options:
    """What the owner of the service has chosen."""

    cookie: bool
    remember: bool
    sliding: bool
    leeway: timedelta
    recovery: timedelta


@dataclass
class Model:
    """The session as the protocol tells it."""

    options: Options
    generation: int
    delivered: int
    floor: int
    access_floor: int
    turned: datetime
    recovered: datetime | None
    recoveries: int
    idle_end: datetime
    end: datetime
    over: bool = False

    def moves(self, token: int, now: datetime) -> str:
        """What a refresh with the token of a generation leads to, by the right hands."""
        if self.over or now >= self.idle_end or now >= self.end:
            return "gone"
        if token > self.generation:
            return "caught up"
        if token < self.floor:
            return "stale"
        age = self.generation - token
        if age == 0:
            return "same" if self.options.cookie and token and self._is_young(now) and not self._due() else "turn"
        if age == 1 and self._is_young(now):
            return "same"
        if age == 1 and self._is_nobodys(now):
            return "recover"
        return "alarm"

    def _is_young(self, now: datetime) -> bool:
        youngest = self.turned if self.recovered is None else max(self.turned, self.recovered)
        return self.options.leeway > ZERO and now - youngest < self.options.leeway

    def _due(self) -> bool:
        return self.access_floor > self.generation

    def _is_nobodys(self, now: datetime) -> bool:
        in_time = self.options.recovery > ZERO and now - self.turned < self.options.recovery
        return in_time and self.delivered < self.generation and self.recoveries < PATIENCE

    def turn(self, to: int, now: datetime) -> None:
        """The key is turned."""
        self.generation, self.turned = to, now
        if self.recovered is None:
            self.recoveries = 0
        self.recovered = None
        if self.options.sliding:
            self.idle_end = min(now + (30 * DAY if self.options.remember else DAY), self.end)

    def acknowledge(self, generation: int) -> None:
        """An access token was seen in use."""
        self.delivered = max(self.delivered, min(generation, self.generation))


@dataclass
class Request:
    """A refresh under way, or a copy of one that is still somewhere in the network."""

    token: int
    answer: Outcome | None = None
    arrived: bool = False


@dataclass
class Client:
    """The one store of tokens that an honest client, or a thief, has."""

    token: int
    access: str
    access_generation: int
    access_until: datetime
    under_way: list[Request] = field(default_factory=list)

    def take(self, answer: Outcome) -> None:
        self.access, self.access_generation = answer.pair.access_token, answer.session.generation
        self.token, self.access_until = answer.session.generation, answer.pair.expires_at


# --- the machine ----------------------------------------------------------------------------------------------------

ISSUERS = st.sampled_from([0, 1])
PAUSES = st.sampled_from(
    [
        timedelta(microseconds=1),
        SECOND,
        4 * SECOND,
        5 * SECOND,
        6 * SECOND,
        10 * SECOND - timedelta(microseconds=1),
        10 * SECOND,
        60 * SECOND,
        HOUR,
        12 * HOUR,
        DAY,
        3 * DAY,
        20 * DAY,
    ]
)


class Rotation(RuleBasedStateMachine):
    """One session; every rule is something that happens to it."""

    world_of: Callable[[], Any]

    def __init__(self) -> None:
        super().__init__()
        self.world = type(self).world_of()
        self.clock = ManualClock()
        self.sessions = 0

    def teardown(self) -> None:
        self.world.close()

    @initialize(
        cookie=st.booleans(),
        remember=st.booleans(),
        sliding=st.booleans(),
        leeway=st.sampled_from([ZERO, 10 * SECOND, 10 * SECOND, 60 * SECOND]),
        recovery=st.sampled_from([None, None, None, HOUR, ZERO]),
        apart=st.sampled_from([0, 0, 1]),
    )
    def open_shop(self, cookie, remember, sliding, leeway, recovery, apart) -> None:
        chosen = settings_with(leeway=leeway, recovery_window=recovery, sliding=sliding)
        self.options = Options(cookie, remember, sliding, leeway, chosen.recovery_window)
        #: Issuers' clocks agree within half the leeway.
        self.skew = apart * max(leeway / 2, SECOND)
        self.entropy = CountingEntropy()
        self.desks: list[Desk] = [self._desk(chosen, ZERO), self._desk(chosen, self.skew)]
        #: Whoever sets other windows than the protocol's gives its patience away.
        self.patient = recovery is None and leeway > ZERO
        self.sign_in()

    def _desk(self, chosen: Settings, ahead: timedelta) -> Desk:
        return a_desk(self.world.store, settings=chosen, clock=lambda: self.clock() + ahead, entropy=self.entropy)

    def sign_in(self) -> None:
        self.sessions += 1
        desk = self.desks[0]
        device = desk.sign_in(transport="cookie" if self.options.cookie else "body", remember=self.options.remember)
        now = desk.clock()
        idle = 30 * DAY if self.options.remember else DAY
        self.id = desk.row(device).id
        self.binding = device.binding
        self.end = now + 90 * DAY
        self.model = Model(self.options, 0, 0, 0, 0, now, None, 0, now + idle, self.end)
        self.tokens = {0: device.refresh_token}
        self.access = [device.access_token]
        self.honest = Client(0, device.access_token, 0, now + timedelta(minutes=5))
        self.thief: Client | None = None
        self.copies: list[Request] = []
        self.turned_at: dict[int, datetime] = {}
        self.told = [-1, -1]
        self.waiting = [-1, -1]
        self.announced = 0
        self.saved: tuple[Any, Model] | None = None
        self.lost_writes = False
        self.alone = True  # nobody but one honest client, with a lock

    # --- what goes over the wire ---

    def _presented(self, desk: Desk, token: int, *, binding: str | None) -> Presented:
        return Presented(
            token=desk.flows.issuer.seals.open(self.tokens[token], desk.clock()),
            transport="cookie" if self.options.cookie else "body",
            binding=presented_digest(binding),
        )

    def _present(self, token: int, issuer: int) -> Outcome | None:
        """Send a refresh, compare what comes back with the model, and keep the model in step."""
        desk, model = self.desks[issuer], self.model
        now, before = desk.clock(), desk.run(self.world.store.get(self.id))
        expected = model.moves(token, now)
        if expected != "turn":
            self._flush(issuer)
            before = replace(before, delivered=model.delivered)
            expected = model.moves(token, now)
        facts = len(desk.facts)
        try:
            answer = desk.run(desk.flows.refresh(self._presented(desk, token, binding=self.binding)))
        except TokenError as refused:
            self._refused(expected, refused, token, issuer, facts)
            return None
        assert expected in ("same", "recover", "turn", "caught up"), f"{expected}, but it was honoured"
        # P1: the current token, its predecessor; after lost writes also those issued ahead.
        usable = {model.generation, model.generation - 1}
        assert token in usable or (self.lost_writes and token > model.generation)
        self._honoured(expected, token, now, answer)
        told = desk.facts[facts:]
        assert any(isinstance(fact, RefreshRecovered) for fact in told) == (expected == "recover")
        assert any(isinstance(fact, StoreWentBack) for fact in told) == (expected == "caught up")
        self._check_p5(expected, before, now)
        return answer

    def _honoured(self, expected: str, token: int, now: datetime, answer: Outcome) -> None:
        model = self.model
        if expected in ("turn", "caught up"):
            model.turn(token + 1, now)
            self.turned_at[token] = self.clock()
        elif expected == "recover":
            model.recovered, model.recoveries = now, model.recoveries + 1
        # Same successor: one generation has one token, however often it is given.
        text = answer.pair.refresh_token
        assert self.tokens.setdefault(model.generation, text) == text
        assert answer.turned == (expected in ("turn", "caught up"))
        # P6, as the client is told it
        assert answer.pair.expires_at <= self.end
        self.access.append(answer.pair.access_token)

    def _check_p5(self, expected: str, before: Any, now: datetime) -> None:
        after = self.desks[0].run(self.world.store.get(self.id))
        if expected == "same":
            assert after == before
        if expected == "recover":
            assert after == replace(before, recovered_at=now, recoveries=before.recoveries + 1)

    def _refused(self, expected: str, refused: TokenError, token: int, issuer: int, facts: int) -> None:
        alarms = [fact for fact in self.desks[issuer].facts[facts:] if isinstance(fact, ReuseDetected)]
        if expected == "alarm":
            # P3: one honest client alone causes none.
            assert not (self.alone and self.patient), "an honest client was accused"
            assert isinstance(refused, SessionEndedError)
            assert [fact.behind for fact in alarms] == [self.model.generation - token]
            self._is_over()
        else:
            kinds = {"gone": SessionEndedError, "stale": TokenStaleError}
            assert type(refused) is kinds[expected], f"{expected} expected, not {refused!r}"
            assert alarms == []

    def _is_over(self) -> None:
        self.model.over = True
        self._everybody_catches_up()

    def _everybody_catches_up(self) -> None:
        for desk in self.desks:
            desk.run(desk.verifier.catch_up(self.world.store))

    def _flush(self, issuer: int) -> None:
        if self.waiting[issuer] >= 0:
            self.model.acknowledge(self.waiting[issuer])
            self.waiting[issuer] = -1

    def _use(self, client: Client, issuer: int) -> None:
        """Call the API with the access token just received."""
        desk = self.desks[issuer]
        try:
            desk.verify(client.access, self.binding)
        except TokenExpiredError:
            assert desk.clock() >= client.access_until
        except SessionEndedError:
            assert self.model.over
        except TokenStaleError:
            assert client.access_generation < self.announced
        else:
            assert not self.model.over
            assert client.access_generation >= self.announced
            if client.access_generation > self.told[issuer]:
                self.told[issuer] = self.waiting[issuer] = client.access_generation

    # --- the honest client ---

    @precondition(lambda self: not self.honest.under_way)
    @rule()
    def the_client_sends(self) -> None:
        self.honest.under_way.append(Request(self.honest.token))

    @precondition(lambda self: any(not request.arrived for request in self.honest.under_way))
    @rule(issuer=ISSUERS, again=st.booleans())
    def the_request_arrives(self, issuer: int, again: bool) -> None:
        request = next(request for request in self.honest.under_way if not request.arrived)
        request.arrived = True
        request.answer = self._present(request.token, issuer)
        if again:
            self.copies.append(Request(request.token))

    @precondition(lambda self: any(request.arrived for request in self.honest.under_way))
    @rule(last=st.booleans(), use=st.booleans(), issuer=ISSUERS)
    def the_answer_arrives(self, last: bool, use: bool, issuer: int) -> None:
        arrived = [request for request in self.honest.under_way if request.arrived]
        request = arrived[-1 if last else 0]
        self.honest.under_way.remove(request)
        if request.answer is not None:
            self.honest.take(request.answer)
            if use:
                self._use(self.honest, issuer)

    @precondition(lambda self: self.honest.under_way and self.model.recoveries < PATIENCE - 2)
    @rule(on_its_way=st.booleans())
    def the_answer_or_the_request_is_lost(self, on_its_way: bool) -> None:
        """The client gives up waiting; the request itself may still arrive one day."""
        request = self.honest.under_way.pop(0)
        if on_its_way:
            self.copies.append(Request(request.token))

    @precondition(lambda self: self.copies and self.model.recoveries < PATIENCE - 2)
    @rule(data=st.data(), issuer=ISSUERS)
    def a_copy_arrives(self, data, issuer: int) -> None:
        copy = data.draw(st.sampled_from(self.copies))
        self.copies.remove(copy)
        if not self._may_still_arrive(copy.token):
            self.alone = False  # P3 asks the network for that much
        self._present(copy.token, issuer)

    def _may_still_arrive(self, token: int) -> bool:
        used = self.honest.token > token
        in_time = (
            token in self.turned_at
            and self.clock() - self.turned_at[token] < self.options.leeway - self.skew
            and self.model.generation <= token + 1
        )
        return not used or in_time

    @precondition(lambda self: not self.honest.under_way)
    @rule(pause=PAUSES, issuer=ISSUERS, use=st.booleans(), times=st.integers(1, 2))
    def all_goes_well(self, pause: timedelta, issuer: int, use: bool, times: int) -> None:
        """The common case in one step, so that lives reach an age at which something can go wrong."""
        for _ in range(times):
            self.clock.advance(pause)
            self.the_client_sends()
            self.the_request_arrives(issuer, again=False)
            self.the_answer_arrives(last=True, use=use, issuer=issuer)
        if use:
            self.sightings_are_told(issuer)

    @precondition(lambda self: not self.honest.under_way)
    @rule(before=PAUSES, after=PAUSES, issuer=ISSUERS)
    def a_thief_comes_late(self, before: timedelta, after: timedelta, issuer: int) -> None:
        self.a_thief_copies_everything()
        self.all_goes_well(before, issuer, use=True, times=1)
        self.clock.advance(after)
        self.the_thief_refreshes(issuer, use=True)

    @precondition(lambda self: not self.honest.under_way and self.model.recoveries < PATIENCE - 2)
    @rule(pause=PAUSES, issuer=ISSUERS, use=st.booleans())
    def an_answer_is_lost_and_asked_for_again(self, pause: timedelta, issuer: int, use: bool) -> None:
        self.the_client_sends()
        self.the_request_arrives(issuer, again=False)
        self.the_answer_or_the_request_is_lost(on_its_way=False)
        self.clock.advance(pause)
        self.the_client_sends()
        self.the_request_arrives(1 - issuer, again=False)
        self.the_answer_arrives(last=True, use=use, issuer=issuer)

    @rule(issuer=ISSUERS)
    def the_client_calls_the_api(self, issuer: int) -> None:
        self._use(self.honest, issuer)

    @rule(issuer=ISSUERS)
    def sightings_are_told(self, issuer: int) -> None:
        desk = self.desks[issuer]
        desk.run(desk.flows.acknowledge())
        self._flush(issuer)

    @precondition(lambda self: not self.honest.under_way)
    @rule(issuer=ISSUERS, arrives=st.booleans())
    def the_user_proves_again_who_they_are(self, issuer: int, arrives: bool) -> None:
        desk, model, token = self.desks[issuer], self.model, self.honest.token
        now, expected = desk.clock(), self.model.moves(self.honest.token, desk.clock())
        stepping = desk.flows.step_up(self._presented(desk, token, binding=self.binding), amr=("otp",))
        if expected == "gone" or token != model.generation:
            with pytest.raises(SessionEndedError if expected == "gone" else TokenStaleError):
                desk.run(stepping)
            return
        answer = desk.run(stepping)
        model.turn(token + 1, now)
        self.announced = max(self.announced, model.generation)
        model.floor = model.generation
        model.access_floor = max(model.access_floor, model.generation)
        self.turned_at[token] = self.clock()
        self.tokens.setdefault(model.generation, answer.pair.refresh_token)
        self.access.append(answer.pair.access_token)
        self._everybody_catches_up()
        if arrives:
            self.honest.take(answer)

    # --- several tabs without a lock: measured elsewhere, not promised; everything but P3 holds ---

    @rule()
    def another_tab_sends_without_a_lock(self) -> None:
        if self.honest.under_way:
            self.alone = False
        self.honest.under_way.append(Request(self.honest.token))

    # --- the thief ---

    @rule()
    def a_thief_copies_everything(self) -> None:
        self.thief = replace(self.honest, under_way=[])

    @precondition(lambda self: self.thief is not None)
    @rule(issuer=ISSUERS, use=st.booleans())
    def the_thief_refreshes(self, issuer: int, use: bool) -> None:
        assert self.thief is not None
        self.alone = False
        model, token, now = self.model, self.thief.token, self.desks[issuer].clock()
        behind = model.generation - token
        live = model.moves(token, now) not in ("gone", "stale")
        leeway_over = not model._is_young(now)
        delivered = max(model.delivered, min(self.waiting[issuer], model.generation)) >= model.generation
        answer = self._present(token, issuer)
        # P4: two old, or one, delivered and outside the leeway: found.
        if live and (behind >= 2 or (behind == 1 and delivered and leeway_over)):
            assert answer is None
            assert model.over
        if answer is not None:
            self.thief.take(answer)
            if use:
                self._use(self.thief, issuer)

    @rule(data=st.data(), issuer=ISSUERS)
    def somebody_finds_an_old_token(self, data, issuer: int) -> None:
        self.alone = False
        self._present(data.draw(st.sampled_from(sorted(self.tokens))), issuer)

    @precondition(lambda self: self.options.cookie)
    @rule(data=st.data(), issuer=ISSUERS)
    def a_token_comes_without_its_cookie(self, data, issuer: int) -> None:
        desk = self.desks[issuer]
        token = data.draw(st.sampled_from(sorted(self.tokens)))
        self._flush(issuer)
        gone = self.model.moves(token, desk.clock()) == "gone"
        with pytest.raises(SessionEndedError if gone else BindingMismatchError):
            desk.run(desk.flows.refresh(self._presented(desk, token, binding=None)))

    # --- the service ---

    @rule(pause=PAUSES)
    def time_passes(self, pause: timedelta) -> None:
        self.clock.advance(pause)

    @rule(issuer=ISSUERS)
    def roles_change(self, issuer: int) -> None:
        desk, model = self.desks[issuer], self.model
        desk.run(desk.flows.ends.require([desk.run(self.world.store.get(self.id))]))
        if not model.over:
            model.access_floor = max(model.access_floor, model.generation + 1)
        self.announced = max(self.announced, model.generation + 1)
        self._everybody_catches_up()

    @precondition(lambda self: self.clock() > self.end - 60 * DAY or self.sessions < 3)
    @rule(issuer=ISSUERS, rarely=st.integers(0, 3))
    def the_session_ends(self, issuer: int, rarely: int) -> None:
        if rarely:
            return
        desk = self.desks[issuer]
        ended = desk.run(desk.flows.ends.end([self.id], EndReason.LOGOUT))
        assert len(ended) == (0 if self.model.over else 1)
        self._is_over()

    @precondition(lambda self: self.model.over and self.sessions < 4)
    @rule()
    def the_user_signs_in_again(self) -> None:
        for desk in self.desks:
            desk.run(desk.flows.acknowledge())
        self.sign_in()

    @precondition(lambda self: not self.model.over)
    @rule()
    def a_backup_is_made(self) -> None:
        self.saved = (self.world.snapshot(), replace(self.model))

    @precondition(lambda self: self.saved is not None and not self.model.over)
    @rule()
    def the_store_goes_back(self) -> None:
        assert self.saved is not None
        copy, model = self.saved
        self.world.restore(copy)
        self.model = replace(model)
        self.lost_writes = True
        self.copies.clear()  # a restore takes longer than a packet lives

    # --- what always holds ---

    @invariant()
    def the_row_is_what_the_model_says(self) -> None:
        row, model = self.desks[0].run(self.world.store.get(self.id)), self.model
        assert (row.generation, row.delivered, row.floor, row.access_floor) == (
            model.generation,
            model.delivered,
            model.floor,
            model.access_floor,
        )
        assert (row.rotated_at, row.recovered_at, row.recoveries) == (model.turned, model.recovered, model.recoveries)
        assert (row.idle_expires_at, row.ended_at is not None) == (model.idle_end, model.over)
        assert row.delivered <= row.generation
        assert row.floor <= row.generation

    @invariant()
    def p6_the_absolute_end_never_moves(self) -> None:
        assert self.desks[0].run(self.world.store.get(self.id)).expires_at == self.end

    @invariant()
    def p2_nothing_of_an_ended_session_is_accepted(self) -> None:
        if not self.model.over:
            return
        for desk in self.desks:
            for access in self.access[-3:]:
                with pytest.raises(TokenError):
                    desk.verify(access, self.binding)
        with pytest.raises(SessionEndedError):
            self.desks[0].run(
                self.desks[0].flows.refresh(self._presented(self.desks[0], self.model.generation, binding=self.binding))
            )
        self._flush(0)


class InMemory(Rotation):
    world_of = MemoryWorld


class InSqlite(Rotation):
    world_of = SqliteWorld


QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


def of_length(steps: int, lives: int) -> settings:
    """So many lives of so many steps; more in the thorough profile."""
    return examples(
        lives, stateful_step_count=steps, suppress_health_check=QUIET, report_multiple_bugs=False, print_blob=False
    )


@pytest.mark.ids("P1", "P2", "P3", "P4", "P5", "P6", "P7", "RT-03", "RT-04", "RT-06", "RT-08", "M25", "M26")
def test_the_protocols_properties_hold_in_memory():
    run_state_machine_as_test(InMemory, settings=of_length(50, lives=100))


@pytest.mark.ids("P1", "P2", "P3", "P4", "P5", "P6", "P7", "RT-03", "RT-04", "RT-06", "RT-08", "M25", "M26")
def test_the_protocols_properties_hold_in_sqlite():
    run_state_machine_as_test(InSqlite, settings=of_length(40, lives=30))


@pytest.mark.ids("P1", "P2", "P3", "P4", "P5", "P6", "P7", "RT-03", "RT-04", "RT-06", "RT-08", "M25", "M26")
@pytest.mark.parametrize("way", ["postgresql-asyncpg", "mariadb-pymysql"])
def test_the_protocols_properties_hold_on_a_server(request, opened_ways, way):
    opened = opened_ways.get(way, request.getfixturevalue)

    class OnServer(Rotation):
        world_of = staticmethod(lambda: ServerWorld(opened))

    run_state_machine_as_test(OnServer, settings=of_length(40, lives=4))
