"""What an application that uses Keyturn tests itself with. Imports no framework until one of its names is used.

Example::

    def test_me(app, auth):
        with auth.override(store="memory:"):
            assert signed_in(app, auth, "alice").get("/me").json() == {"subject": "alice"}
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..keyrings.static import testing_keys as testing_keys
    from .claims import a_claims as a_claims
    from .clients import client as client, signed_in as signed_in
    from .clock import ManualClock as ManualClock
    from .entropy import CountingEntropy as CountingEntropy
    from .http_conformance import HttpConformance as HttpConformance
    from .store_conformance import StoreConformance as StoreConformance

_HOMES = {
    "CountingEntropy": ".entropy",
    "HttpConformance": ".http_conformance",
    "ManualClock": ".clock",
    "StoreConformance": ".store_conformance",
    "a_claims": ".claims",
    "client": ".clients",
    "signed_in": ".clients",
    "testing_keys": "..keyrings.static",
}

__all__ = [
    "CountingEntropy",
    "HttpConformance",
    "ManualClock",
    "StoreConformance",
    "a_claims",
    "client",
    "signed_in",
    "testing_keys",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home, __name__), name)
