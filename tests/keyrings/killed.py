"""Changes a key directory in child processes that are killed before each call to the system, one after the other.

A program of its own, so that it forks from a process without threads. Prints a JSON list: for each kill which keys the
directory held afterwards, by a fresh look that must be able to sign and seal.
"""

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from keyturn.errors import ConfigurationError
from keyturn.keyrings.directory import DirectoryKeys
from tests.support.dying import survives

ACTS: dict[str, Callable[[Path], Any]] = {
    "make": DirectoryKeys,
    "rotate access": lambda path: DirectoryKeys(path).rotate("access"),
    "rotate refresh": lambda path: DirectoryKeys(path).rotate("refresh"),
    "remove access": lambda path: DirectoryKeys(path).remove(_id(path, "access")),
    "remove refresh": lambda path: DirectoryKeys(path).remove(_id(path, "refresh")),
}


def _id(path: Path, purpose: str) -> str:
    source = DirectoryKeys(path)
    ring, now = source.ring, source._clock()
    return (ring.signing(now) if purpose == "access" else ring.sealing(now)).id


def unfinished(path: Path) -> list[str]:
    """What a killed writer left."""
    return [each.name for each in path.glob(".unfinished*")]


def main(root: Path, act: str) -> None:
    found, call, done = [], 0, False
    while not done:
        path = root / str(call)
        before: list[str] = []
        if act != "make":
            before = sorted(key.id for key in DirectoryKeys(path).ring.keys)
        done = survives(partial(ACTS[act], path), call)
        left = unfinished(path)
        try:
            ring, now = DirectoryKeys(path).ring, DirectoryKeys(path)._clock()
            after = sorted([ring.signing(now).id, ring.sealing(now).id])
            found.append({"done": done, "before": before, "after": sorted(k.id for k in ring.keys), "signs": after})
            found[-1]["left"] = left
            DirectoryKeys(path).rotate("access")
            found[-1]["left_later"] = unfinished(path)
        except ConfigurationError as error:
            found.append({"error": str(error)})
        call += 1
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
