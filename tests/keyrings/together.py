"""Opens one key directory from eight processes at the same instant, again and again; prints the keys each one got."""

import json
import os
import sys
from pathlib import Path

from keyturn.keyrings.directory import DirectoryKeys

PROCESSES = 8


def opened_at_once(path: Path) -> list[list[str]]:
    """Let eight children wait at one pipe, let them go, and gather what each sees."""
    gate_out, gate_in = os.pipe()
    answers_out, answers_in = os.pipe()
    children = []
    for _ in range(PROCESSES):
        child = os.fork()
        if child == 0:
            os.close(gate_in)
            os.read(gate_out, 1)  # returns when the last writer is gone
            try:
                ids = [key.id for key in DirectoryKeys(path).ring.keys]
            except Exception as error:  # noqa: BLE001  # whatever it is, the parent should see it
                ids = [repr(error)]
            os.write(answers_in, json.dumps(ids).encode() + b"\n")
            os._exit(0)
        children.append(child)
    os.close(gate_in)
    os.close(gate_out)
    os.close(answers_in)
    with os.fdopen(answers_out) as answers:
        seen = [json.loads(line) for line in answers]
    for child in children:
        os.waitpid(child, 0)
    return seen


def main(root: Path, rounds: int) -> None:
    found = []
    for n in range(rounds):
        path = root / str(n)
        if n % 2:
            path.mkdir()
        found.append({"seen": opened_at_once(path), "files": sorted(each.name for each in path.iterdir())})
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
