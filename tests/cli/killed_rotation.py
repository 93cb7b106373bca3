"""Runs `keyturn keys rotate` in children that are killed before each call to the system, one after the other.

A program of its own, so that it forks from a process without threads. Prints a JSON list: for each kill what the ring
held afterwards, by a look that changes nothing, and how the next rotation went.
"""

import json
import shutil
import sys
from functools import partial
from pathlib import Path

from click.testing import CliRunner

from keyturn._build import utc_now
from keyturn.cli.commands import keyturn
from keyturn.keyrings.directory import look
from tests.support.dying import survives


def run(folder: Path, *words: str) -> tuple[int, str]:
    done = CliRunner().invoke(keyturn, ["keys", *words], env={"KEYTURN_CONFIG": str(folder / "keyturn.toml")})
    return done.exit_code, done.output


def rotated(folder: Path) -> None:
    code, _ = run(folder, "rotate", "--purpose", "both")
    assert code == 0


def ids(folder: Path) -> list[str]:
    return sorted(key.id for key in look(folder / "keys").keys)


def main(root: Path) -> None:
    found, call, done = [], 0, False
    template = root / "template"
    while not done:
        folder = root / str(call)
        shutil.copytree(template, folder)
        before = ids(folder)
        done = survives(partial(rotated, folder), call)
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
