"""The stage of these tests: a store, every one in its turn, and an issuer's desk over it."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from keyturn.testing.entropy import CountingEntropy
from tests.support.all_stores import STORES, Backing
from tests.support.desk import Desk, a_desk
from tests.support.front import Front, a_front


@pytest.fixture(params=STORES)
def backing(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backing]:
    """An empty store."""
    with STORES[request.param](tmp_path, request.getfixturevalue) as opened:
        yield opened


@pytest.fixture
def new_desk(backing: Backing) -> Callable[..., Desk]:
    """Opens desks over the store; no two of them draw the same bytes."""
    numbers = count()

    def open_desk(store: Any = None, **how: Any) -> Desk:
        entropy = how.pop("entropy", None) or CountingEntropy(f"desk {next(numbers)}")
        return a_desk(backing.store if store is None else store, entropy=entropy, **how)

    return open_desk


@pytest.fixture
def desk(new_desk: Callable[..., Desk]) -> Desk:
    """An issuer over the store."""
    return new_desk()


@pytest.fixture
def front(backing: Backing) -> Front:
    """A service over the store, without a server."""
    return a_front(store=backing.store)
