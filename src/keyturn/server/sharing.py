"""One set of numbers for several workers: a folder in which prometheus-client keeps what each of them counts."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, cast

from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

#: Where prometheus-client shares numbers between processes; it looks there when it is imported.
FOLDER_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"


@contextmanager
def shared_folder() -> Generator[Path]:
    """Let the workers that are started inside the ``with`` block share their numbers; to be used by their supervisor."""
    before = os.environ.get(FOLDER_VARIABLE)
    # It goes with all that is in it; files that a dying worker leaves behind are in nobody's way.
    with tempfile.TemporaryDirectory(prefix="keyturn-metrics-", ignore_cleanup_errors=True) as folder:
        os.environ[FOLDER_VARIABLE] = folder
        try:
            yield Path(folder)
        finally:
            os.environ.pop(FOLDER_VARIABLE)
            if before is not None:
                os.environ[FOLDER_VARIABLE] = before


def numbers_of_all() -> Any | None:
    """Give what collects the numbers of all workers; None where this process shares them with nobody."""
    folder = os.environ.get(FOLDER_VARIABLE)
    if not folder:
        return None
    _forget_the_dead(Path(folder))
    return cast("Any", MultiProcessCollector)(None, folder)


def _forget_the_dead(folder: Path) -> None:
    """Drop the gauges of workers that are gone, however they went; what they counted stays counted."""
    pids = {path.stem.rpartition("_")[2] for path in folder.glob("gauge_live*_*.db")}
    for pid in filter(str.isdigit, pids):
        if not _is_alive(int(pid)):
            with suppress(OSError):  # another worker does the same
                cast("Any", mark_process_dead)(int(pid), str(folder))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
