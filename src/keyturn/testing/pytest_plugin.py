"""The pytest plugin that comes with Keyturn: fixtures for applications that use it.

pytest imports this file in every run of every project that has Keyturn installed, so it imports nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .clock import ManualClock
    from .entropy import CountingEntropy


def pytest_configure(config: pytest.Config) -> None:
    """Make the suites' marker known, also where a project allows none that it does not know."""
    config.addinivalue_line("markers", "ids(*ids): the promises of Keyturn that this test decides")


@pytest.fixture
def keyturn_clock() -> ManualClock:
    """A clock that stands still until the test moves it: ``with auth.override(clock=keyturn_clock):``."""
    from .clock import ManualClock

    return ManualClock()


@pytest.fixture
def keyturn_entropy() -> CountingEntropy:
    """Random bytes that are the same in every run: ``with auth.override(entropy=keyturn_entropy):``."""
    from .entropy import CountingEntropy

    return CountingEntropy()
