"""What the browser tests need of npm: fetched once into `.cache` beside this file, used from there ever after."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CACHE = Path(__file__).parent / ".cache"


def node_modules(manifest: str, need: Callable[[str], str]) -> Path:
    """Give the folder ``node_modules`` that belongs to a package.json; without npm or its registry the test is skipped."""
    wanted = dict(json.loads(manifest).get("devDependencies", {}))
    folder = CACHE / hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:16]
    if not (folder / ".done").exists():
        need("node")
        npm = need("npm")
        with _alone():
            if not (folder / ".done").exists():
                _install(npm, folder, manifest)
    return folder / "node_modules"


@contextmanager
def _alone() -> Iterator[None]:
    """Let one process at a time fetch: files of tests that run side by side ask for the same packages."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _install(npm: str, folder: Path, manifest: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "package.json").write_text(manifest)
    command = [npm, "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
    told = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    if told.returncode:
        reason = f"npm cannot install what this test needs: {told.stderr.strip()[-500:]}"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    (folder / ".done").touch()
