"""Where the store suite plays: a store, one colour of callers, and the sessions that everybody tries things on."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial, wraps
from itertools import count
from typing import Any, Final, Literal, TypeVar

from .._colour import drive, resolve
from ..session import Session, new_session_id
from ..stores import SessionStore, Turn

T = TypeVar("T")
Suite = TypeVar("Suite", bound="StoreSuite")

SECOND: Final = timedelta(seconds=1)
MICROSECOND: Final = timedelta(microseconds=1)
#: A moment whose microseconds neither a float nor a millisecond can hold.
NOW: Final = datetime(2030, 3, 14, 12, 0, 0, 123457, tzinfo=UTC)
UNTIL: Final = NOW + timedelta(hours=1)
SEED_DIGEST: Final = bytes(range(32))
REALM: Final = "shop"
SUBJECT: Final = "ana"


class StoreSuite:
    """What every part of the suite stands on: how to get a store, and how to let go of it."""

    @abstractmethod
    def make_store(self) -> SessionStore:
        """Give a new, empty store. The suite asks for one in every test and colour."""

    def close_store(self, store: SessionStore) -> None | Awaitable[None]:
        """Let go of a store that `make_store` gave; may be async where the store awaits."""


@dataclass(slots=True)
class Stage:
    """One store with one colour of callers.

    Args:
        store: the store on trial.
        colour: how its callers wait: by blocking threads, or as tasks of one event loop.
    """

    store: SessionStore
    colour: Literal["sync", "async"]
    _numbers: count[int] = field(default_factory=count)

    def session(self, **changes: Any) -> Session:
        """Make a session like any other, with a new id and the given changes; it is not stored yet."""
        expires_at = changes.get("expires_at", NOW + timedelta(days=90))
        plain = Session(
            id=new_session_id(expires_at, next(self._numbers).to_bytes(14, "big")),
            realm=REALM,
            subject=SUBJECT,
            client_id="default",
            transport="cookie",
            remember=True,
            seed_digest=SEED_DIGEST,
            rotated_at=NOW - timedelta(hours=1),
            authenticated_at=NOW - timedelta(hours=2),
            created_at=NOW - timedelta(hours=2),
            idle_expires_at=NOW + timedelta(days=30),
            expires_at=expires_at,
        )
        return replace(plain, **changes)

    async def add(self, **changes: Any) -> Session:
        """Make a session with the given changes and store it."""
        session = self.session(**changes)
        await self.store.add(session)
        return session

    async def row(self, session: Session) -> Session:
        """Give the stored row of a session that must be there."""
        row = await self.store.get(session.id)
        assert row is not None, "the session is gone"
        return row

    async def breathe(self) -> None:
        """Let others have a turn, also where the store never does."""
        if self.colour == "async":
            await asyncio.sleep(0)
        else:
            time.sleep(0)  # noqa: ASYNC251 - here every caller has a thread of its own

    async def together(self, actions: Sequence[Callable[[], Coroutine[Any, Any, T]]]) -> list[T]:
        """Let many callers act at once: a thread each, or a task each. Raises what the first of them raised."""
        if self.colour == "async":
            return list(await asyncio.gather(*(action() for action in actions)))
        return _in_threads(actions)


def turn_of(session: Session, **changes: Any) -> Turn:
    """Make the turn that the session's holder would ask for, with the given changes."""
    plain = Turn(
        id=session.id,
        realm=session.realm,
        transport=session.transport,
        client_id=session.client_id,
        generation=session.generation,
        seed_digest=session.seed_digest,
        binding=session.binding,
        now=NOW,
        to=session.generation + 1,
    )
    return replace(plain, **changes)


def in_each_colour(
    scenario: Callable[[Suite, Stage], Coroutine[Any, Any, None]],
) -> Callable[[Suite], None]:
    """Turn a scenario into a test that plays it, on a new store each time, in every colour that the store has."""

    @wraps(scenario)
    def test(suite: Suite) -> None:
        colours: list[Literal["sync", "async"]] = ["sync", "async"]
        for colour in colours:
            store = suite.make_store()
            if store.colour in {colour, "both"}:
                run = drive if colour == "sync" else asyncio.run
                _play(partial(scenario, suite), Stage(store, colour), suite, run)

    del test.__wrapped__  # pytest would take the scenario's `stage` for a fixture
    return test


def _play(
    scenario: Callable[[Stage], Coroutine[Any, Any, None]],
    stage: Stage,
    suite: StoreSuite,
    run: Callable[[Coroutine[Any, Any, None]], None],
) -> None:
    async def act() -> None:
        try:
            await scenario(stage)
        finally:
            await resolve(suite.close_store(stage.store))

    try:
        run(act())
    except BaseException as error:
        error.add_note(f"with {stage.colour} callers")
        raise


def _in_threads(actions: Sequence[Callable[[], Coroutine[Any, Any, T]]]) -> list[T]:
    start = threading.Barrier(len(actions))
    results: dict[int, T] = {}
    errors: list[BaseException] = []

    def act(number: int) -> None:
        try:
            start.wait()
            results[number] = drive(actions[number]())
        except BaseException as error:  # noqa: BLE001 - told by the thread that waits for all
            errors.append(error)

    threads = [threading.Thread(target=act, args=(number,)) for number in range(len(actions))]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # threads that change places often find a gap sooner
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    for error in errors:
        raise error
    return [results[number] for number in range(len(actions))]
