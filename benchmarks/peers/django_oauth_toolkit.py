"""``python -m benchmarks.peers.django_oauth_toolkit --port … --database postgresql://…``: django-oauth-toolkit.

Rotation and reuse protection on: POST /o/token/ (sign-in by password, and refresh; the client is `benchmark`, without
a secret), /o/revoke_token/ (logout), GET /me. Served by gunicorn until SIGTERM.
"""

from __future__ import annotations

from ._run import run_django
from .people import django_parser

if __name__ == "__main__":
    parser = django_parser(__doc__)
    parser.add_argument("--grace", type=int, default=0, help="REFRESH_TOKEN_GRACE_PERIOD_SECONDS")
    run_django("toolkit", parser.parse_args())
