"""What ``import keyturn`` takes, in fresh interpreters."""

from __future__ import annotations

import json
import subprocess
import sys

from .measure import Effort, Rounds, added, medians, take_turns
from .peers.environment import environment
from .report import Goal, Table, at_most

NAME = "start_up"
WHOLE = "keyturn, with all that it names"
#: side -> what is imported; the first is what every program pays.
SIDES = {
    "nothing": "pass",
    "cryptography's signatures": "import cryptography.hazmat.primitives.asymmetric.ec",
    "PyJWT": "import jwt",
    "joserfc": "import joserfc.jwt",
    "keyturn": "import keyturn",
    WHOLE: "from keyturn import *",
    "keyturn.fastapi": "import keyturn.fastapi",
    "FastAPI": "import fastapi",
}
_PROGRAM = """
import sys, time
before, begin = set(sys.modules), time.process_time()
{}
took = time.process_time() - begin
import json
print(json.dumps([took * 1e3, sorted({{name.partition(".")[0] for name in set(sys.modules) - before}})]))
"""
_NOT_OURS = frozenset(
    "aiosqlite anyio asyncio click fastapi flask httpx pydantic redis rich sqlalchemy sqlite3 starlette uvicorn".split()
)


def run(effort: Effort) -> list[Table]:
    """Measure the imports."""
    rounds = take_turns({side: lambda what=what: _imported(what)[0] for side, what in SIDES.items()}, effort.rounds)
    return [_table(rounds, sorted(_NOT_OURS.intersection(_imported(SIDES["keyturn"])[1])))]


def _imported(what: str) -> tuple[float, list[str]]:
    """Give the CPU milliseconds of an import, and which packages it loaded."""
    # No site-packages' start-up files in the figure: only what happens between the two looks at the clock counts.
    told = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(what)], env={**environment(), "PYTHONDONTWRITEBYTECODE": ""},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    took, loaded = json.loads(told)
    return took, loaded


def _table(rounds: Rounds, loaded: list[str]) -> Table:
    middle = medians(rounds)
    ours, whole = (added(rounds, side, "nothing") for side in ("keyturn", WHOLE))
    return Table(
        title="Imports (CPU ms)",
        rows={side: {"CPU ms": middle[side]} for side in SIDES},
        goals=[
            at_most("import keyturn: at most 60 ms", ours, 60, "ms"),
            at_most(f"{WHOLE}: the same", whole, 60, "ms"),
            Goal(
                aim="import keyturn loads no framework and no driver", found=", ".join(loaded) or "none", met=not loaded
            ),
        ],
        notes=[
            (
                "Fresh interpreters whose bytecode is cached already. `import keyturn` alone loads little: a name is loaded "
                "when it is first used, and the second line of ours is what an application pays in the end."
            )
        ],
        rounds=rounds,
    )
