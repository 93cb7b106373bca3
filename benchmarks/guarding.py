"""What the sides of `guarded_get` have in common: signed-in clients, and peers in processes of their own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jwt

from keyturn.keyrings import now_utc
from keyturn.keyrings.static import StaticKeys
from keyturn.stores.memory import MemoryStore

from . import people
from .asgi import App, Caller, headers_of
from .measure import versions
from .peers.environment import environment

CLIENTS = 64


class Stage:
    """Clients that are signed in, and the keys that their tokens are verified with."""

    def __init__(self) -> None:
        self.settings = people.settings()
        self.ring: StaticKeys = people.keys()
        pairs = people.sign_in(self.settings, self.ring, CLIENTS)
        self.token_bytes = len(pairs[0].access_token)
        self.clients = [
            headers_of(
                pair.access_token,
                [
                    (self.settings.refresh_cookie, pair.refresh_token),
                    (self.settings.binding_cookie, pair.binding or ""),
                ],
            )
            for pair in pairs
        ]

    def keyturn(self, kind: Callable[..., Any]) -> Any:
        """Give Keyturn for a framework, as an application builds it."""
        return kind(self.settings, store=MemoryStore(), keys=self.ring, users=people.Users())

    def claims_by_pyjwt(self) -> Callable[[str], dict[str, Any]]:
        """Give what applications write around PyJWT: the key is parsed once, everything that matters is checked."""
        jwk = self.ring.ring.signing(now_utc()).public_jwk()
        public = jwt.PyJWK(dict(jwk)).key
        return lambda token: jwt.decode(token, public, ["ES256"], audience=people.ISSUER, issuer=people.ISSUER)

    def caller(self, app: App, path: str = "/me") -> Caller:
        """Give what sends the clients' requests to an application."""
        return Caller(app, path, self.clients)

    def note(self, *packages: str) -> str:
        """Say what was measured, and how."""
        return (
            f"{versions(*packages)}. ES256, tokens of {self.token_bytes} bytes, {CLIENTS} clients in turn with the headers "
            "and cookies of a browser. Every side answers the same JSON; `added` is the median of the differences to the "
            "bare route in the same round. Ours includes the layer that hides our cookies from the application."
        )


@contextmanager
def worker(python: Path, module: str, sides: Mapping[str, str], calls: int) -> Iterator[dict[str, Callable[[], float]]]:
    """Give the sides that are measured in a peer's process.

    Args:
        python: the interpreter that sees the peer.
        module: run in it; answers wishes on standard input, a line each.
        sides: our name -> its name.
        calls: of one measurement.
    """
    with subprocess.Popen(
        [python, "-m", module], env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()

        def measured(side: str, count: int) -> float:
            print(json.dumps({"side": side, "calls": count}), file=process.stdin, flush=True)
            return float(json.loads(process.stdout.readline()))

        for side in sides.values():
            measured(side, max(1, calls // 4))
        yield {name: lambda side=side: measured(side, calls) for name, side in sides.items()}
        process.stdin.close()
