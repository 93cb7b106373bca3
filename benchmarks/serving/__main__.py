"""``python -m benchmarks.serving SIDE FILE SESSIONS CLIENTS``: one server process, one worker.

Fills a new file, says on one line where it listens and with which tokens, and serves until standard input ends.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import uvicorn

from keyturn import Session
from keyturn._seals import SealedRing
from keyturn.keyrings import now_utc
from keyturn.session import session_id_bytes

from .. import people
from . import ours, prototype
from .sessions import fill, sessions

#: Nobody measures for so long; a forgotten server ends by itself.
_LIFETIME_SECONDS = 1200


def main(side: str, path: Path, session_count: int, clients: int) -> None:
    """Fill, tell, serve."""
    ring, now = people.keys(), now_utc()
    seals = SealedRing(ring, people.settings().realm)
    tokens: list[str] = []

    def seen(session: Session, seed: bytes) -> None:
        if len(tokens) < clients:
            raw = session_id_bytes(session.id) or b""
            is_ours = side == "ours"
            tokens.append(seals.seal(session.id, 0, seed, now) if is_ours else prototype.token_of(raw, 0, seed))

    fill(path, sessions(session_count, now), seen)
    app = ours.application(path, ring) if side == "ours" else prototype.application(path)
    listening = socket.create_server(("127.0.0.1", 0))
    print(json.dumps({"port": listening.getsockname()[1], "tokens": tokens, "http": _http()}), flush=True)
    serve(app, listening)


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
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
