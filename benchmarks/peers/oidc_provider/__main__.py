"""``python -m benchmarks.peers.oidc_provider --port …``: oidc-provider on Node, its state in memory, one process.

Refresh tokens turn at every use: POST /token (sign-in by password, and refresh; the client is `benchmark`, without a
secret), /token/revocation (logout), GET /me. Serves until SIGTERM.
"""

from __future__ import annotations

from .._run import run_oidc_provider
from ..people import parser

if __name__ == "__main__":
    run_oidc_provider(parser(__doc__).parse_args())
