"""``python -m benchmarks.peers.simplejwt --port … --database postgresql://…``: djangorestframework-simplejwt.

Rotation and blacklist on, everything else as it comes: POST /api/token/ (sign-in), /api/token/refresh/,
/api/token/blacklist/ (logout), GET /me. Served by gunicorn until SIGTERM.
"""

from __future__ import annotations

from ._run import run_django
from .people import django_parser

if __name__ == "__main__":
    run_django("simplejwt", django_parser(__doc__).parse_args())
