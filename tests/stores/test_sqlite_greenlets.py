"""SQLite's writer where gevent replaces threads after the store was made, as in a server that forks in between."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys

sys.path.insert(0, sys.argv[1])
from dataclasses import replace

from keyturn._colour import drive
from keyturn.stores import _sqlite_life
from keyturn.stores.sqlite import SqliteStore
from keyturn.session import session_id_text
from tests.support.rows import a_row

early = SqliteStore("early.db")
{use_it}
from gevent import monkey

monkey.patch_all()
import gevent

begin = _sqlite_life.Writer


def slowly(connect):
    gevent.sleep(0.01)  # others come by while a writer begins
    return begin(connect)


_sqlite_life.Writer = slowly
for store in (early, SqliteStore("late.db")):
    rows = [replace(a_row(), id=session_id_text(bytes([3, 1, *[number] * 14]))) for number in range(20)]
    adding = [gevent.spawn(drive, store.add(row)) for row in rows]
    gevent.joinall(adding, raise_error=True)
    assert [drive(store.get(row.id)) for row in rows] == rows
    store.close()
print("all kept")
"""
USE_IT = "drive(early.find('default', 'nobody', now=a_row().created_at)); early.close()"


@pytest.mark.parametrize("use_it", ["", USE_IT], ids=["unused before", "used before"])
def test_greenlets_never_wait_at_a_lock_of_the_time_before(use_it, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(use_it=use_it), str(ROOT)], cwd=tmp_path, capture_output=True,
        text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout == "all kept\n", done.stderr
