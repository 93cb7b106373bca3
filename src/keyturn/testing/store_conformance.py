"""The contract of `keyturn.stores.SessionStore` as a test suite: for our stores, and for yours.

    class TestMyStore(StoreConformance):
        def make_store(self) -> SessionStore:
            return MyStore(…)

Every test plays in each colour that the store has: with blocking callers (threads, where there are many), and with
tasks of an event loop. Needs pytest.
"""

from __future__ import annotations

import pytest

# Before they are imported: a failing assert in them then tells its values, as in a test's own file.
pytest.register_assert_rewrite(
    "keyturn.testing._store_stage",
    "keyturn.testing._store_rows",
    "keyturn.testing._store_turns",
    "keyturn.testing._store_ends",
    "keyturn.testing._store_steps",
    "keyturn.testing._store_races",
)

from ._store_ends import Ends  # noqa: E402
from ._store_races import Races  # noqa: E402
from ._store_rows import Rows  # noqa: E402
from ._store_steps import Steps  # noqa: E402
from ._store_turns import Turns  # noqa: E402

__all__ = ["StoreConformance"]


class StoreConformance(Rows, Turns, Ends, Steps, Races):
    """What every store promises. Subclass it, give `make_store`, and let pytest collect the subclass.

    `make_store` gives a new, empty store for every test and colour; `close_store` lets go of it.
    """
