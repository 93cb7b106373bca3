"""``python -m benchmarks.serving SIDE WHERE SESSIONS CLIENTS``: one server process, one worker.

Fills a new file or an empty database, says on one line where it listens and with which tokens, and serves until
standard input ends. SIDE is ``prototype`` or ``ours``; WHERE is a file, or ``postgresql+asyncpg://…``, or
``postgresql+psycopg://…``.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn

from keyturn import Session
from keyturn._seals import SealedRing
from keyturn.keyrings import now_utc
from keyturn.keyrings.static import StaticKeys
from keyturn.session import session_id_bytes
from keyturn.stores.sqlite import SqliteStore

from .. import people
from . import minimal, ours, prototype
from .sessions import fill, sessions

#: Nobody measures for so long; a forgotten server ends by itself.
_LIFETIME_SECONDS = 1200


def main(side: str, where: str, session_count: int, clients: int) -> None:
    """Fill, tell, serve."""
    ring = people.keys()
    tokens: list[str] = []
    app = _application(side, where, ring, session_count, _collecting(side, ring, tokens, clients))
    listening = socket.create_server(("127.0.0.1", 0))
    print(json.dumps({"port": listening.getsockname()[1], "tokens": tokens, "http": _http()}), flush=True)
    serve(app, listening)


def _collecting(side: str, ring: StaticKeys, tokens: list[str], count: int) -> Callable[[Session, bytes], None]:
    seals, now = SealedRing(ring, people.settings().realm), now_utc()

    def seen(session: Session, seed: bytes) -> None:
        if len(tokens) < count:
            raw = session_id_bytes(session.id) or b""
            is_ours = side == "ours"
            tokens.append(seals.seal(session.id, 0, seed, now) if is_ours else minimal.token_of(raw, 0, seed))

    return seen


def _application(side: str, where: str, ring: StaticKeys, count: int, seen: Callable[[Session, bytes], None]) -> Any:
    some = sessions(count, now_utc())
    if not where.startswith("postgresql"):
        path = Path(where)
        fill(path, some, seen)
        return ours.application(SqliteStore(path), ring) if side == "ours" else prototype.application(path)
    from . import postgresql, prototype_postgresql

    bare = where.replace("+asyncpg", "").replace("+psycopg", "")
    postgresql.fill(bare, some, seen)
    return ours.application(where, ring) if side == "ours" else prototype_postgresql.application(bare)


def _http() -> str:
    quick = [name for name in ("httptools", "uvloop") if importlib.util.find_spec(name)]
    return " and ".join(quick) or "h11 and asyncio"


def serve(app: Any, listening: socket.socket) -> None:
    """Serve until standard input ends."""
    # Clients wait while the other side has its turn, and their connections with them.
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="on", backlog=256, timeout_keep_alive=_LIFETIME_SECONDS
    )
    server = uvicorn.Server(config)

    def stop() -> None:
        sys.stdin.read()
        server.should_exit = True

    def stop_anyway() -> None:
        server.should_exit = True

    threading.Thread(target=stop, daemon=True).start()
    bound = threading.Timer(_LIFETIME_SECONDS, stop_anyway)
    bound.daemon = True
    bound.start()
    gc.collect()
    gc.freeze()
    server.run(sockets=[listening])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
