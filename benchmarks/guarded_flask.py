"""What a guard adds to one GET in Flask: a part of `guarded_get`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import jwt
from flask import Flask, abort, request

from keyturn.flask import Keyturn
from keyturn.stores.memory import MemoryStore

from .guarding import Stage, worker
from .measure import Effort, Rounds, added, medians, per_call
from .peers.environment import peers_python
from .purging import BlockingUsers
from .report import Goal, Table, at_least, at_most, unknown
from .wsgi import Caller

BARE, PYJWT, OURS = "no authentication", "PyJWT by hand", "Keyturn's decorator"
EXTENDED, EXTENDED_BARE = "flask-jwt-extended", "no authentication, beside flask-jwt-extended"
_WORKER = "benchmarks.peers.flask_worker"
_THERE = {EXTENDED_BARE: "bare", EXTENDED: "guarded"}
_NOTE = (
    "flask-jwt-extended runs in a process and an environment of its own (`benchmarks/peers/requirements.txt`), beside its "
    "own bare route, in turns with the others."
)


def table(stage: Stage, effort: Effort) -> Table:
    """Measure Flask."""
    sides = {
        BARE: Caller(_bare(), "/me", stage.clients),
        PYJWT: Caller(_pyjwt(stage), "/me", stage.clients),
        OURS: Caller(_ours(stage), "/me", stage.clients),
    }
    calls = effort.of(1500)
    python = peers_python(effort)
    with ExitStack() as stack:
        elsewhere = {} if python is None else stack.enter_context(worker(python, _WORKER, _THERE, calls))
        rounds = per_call(sides, calls=calls, rounds=effort.rounds, elsewhere=elsewhere)
    return _table(stage, rounds)


def _table(stage: Stage, rounds: Rounds) -> Table:
    middle = medians(rounds)
    pairs = {BARE: None, PYJWT: BARE, OURS: BARE, EXTENDED_BARE: None, EXTENDED: EXTENDED_BARE}
    pairs = {side: over for side, over in pairs.items() if side in rounds}
    more = {side: added(rounds, side, over) for side, over in pairs.items() if over is not None}
    return Table(
        title="What a guard adds to one GET in Flask (CPU µs)",
        rows={
            side: {"whole request": middle[side], **({"added": more[side]} if side in more else {})} for side in pairs
        },
        goals=list(_goals(more)),
        notes=[stage.note("flask", "werkzeug", "pyjwt", "cryptography"), *([_NOTE] if EXTENDED in more else [])],
        rounds=rounds,
    )


def _goals(more: dict[str, float]) -> Iterator[Goal]:
    yield at_most("Flask: at most 10 µs", more[OURS], 10, "µs")
    aim = "Flask: at least 15 times less than flask-jwt-extended"
    if EXTENDED in more:
        yield at_least(aim, more[EXTENDED] / more[OURS], 15, "times")
    else:
        yield unknown(aim, "its environment is missing")


def _bare() -> Flask:
    app = Flask(__name__)

    @app.get("/me")
    def me() -> dict[str, str]:
        return {"subject": "user-4711"}

    return app


def _pyjwt(stage: Stage) -> Flask:
    claims_of = stage.claims_by_pyjwt()
    app = Flask(__name__)

    @app.get("/me")
    def me() -> dict[str, Any]:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            abort(401)
        try:
            claims = claims_of(token)
        except jwt.InvalidTokenError:
            abort(401)
        return {"subject": claims["sub"]}

    return app


def _ours(stage: Stage) -> Flask:
    app = Flask(__name__)
    auth = Keyturn(app, stage.settings, users=BlockingUsers(), store=MemoryStore(), keys=stage.ring)

    @app.get("/me")
    @auth.required
    def me() -> dict[str, str]:
        return {"subject": auth.claims.subject}

    return app
