"""Runs `keyturn keys rotate` in children that are killed before each call to the system, one after the other.

A program of its own, so that it forks from a process without threads. Prints a JSON list: for each kill what the ring
held afterwards, by a look that changes nothing, and how the next rotation went.
"""

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from keyturn._build import utc_now
from keyturn.cli.commands import keyturn
from keyturn.keyrings.directory import look

CALLS = ("open", "write", "fsync", "close", "replace", "unlink", "mkdir", "chmod")


def kill_before(call: int) -> None:
    """Let this process die just before its n-th call to the system from now on."""
    left = call

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def act(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **named)

        return act

    for name in CALLS:
        setattr(os, name, counted(getattr(os, name)))


def run(folder: Path, *words: str) -> tuple[int, str]:
    done = CliRunner().invoke(keyturn, ["keys", *words], env={"KEYTURN_CONFIG": str(folder / "keyturn.toml")})
    return done.exit_code, done.output


def survives(folder: Path, call: int) -> bool:
    """Rotate in a child that dies before its n-th call; say whether it came to its end before that."""
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            kill_before(call)
            os._exit(run(folder, "rotate", "--purpose", "both")[0])
        os._exit(99)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return False
    assert os.WEXITSTATUS(status) == 0, "the rotation itself failed"
    return True


def ids(folder: Path) -> list[str]:
    return sorted(key.id for key in look(folder / "keys").keys)


def main(root: Path) -> None:
    found, call, done = [], 0, False
    template = root / "template"
    while not done:
        folder = root / str(call)
        shutil.copytree(template, folder)
        before = ids(folder)
        done = survives(folder, call)
        ring, now = look(folder / "keys"), utc_now()
        after = ids(folder)
        signs = [ring.signing(now).id, ring.sealing(now).id]
        code, said = run(folder, "rotate", "--purpose", "both")
        left = [path.name for path in (folder / "keys").glob(".unfinished*")]
        found.append({
            "done": done, "before": before, "after": after, "signs": signs, "next": code, "said": said,
            "later": ids(folder), "left": left,
        })  # fmt: skip
        call += 1
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
