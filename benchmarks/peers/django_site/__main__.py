"""``python -m benchmarks.peers.django_site SITE JSON``: make the tables, the users and the client, and serve.

JSON has what the peers' programs understand. Runs in the interpreter that sees Django.
"""

from __future__ import annotations

import json
import sys
import tempfile
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from gunicorn.app.base import BaseApplication

from . import settings as sites

CLIENT_ID = "benchmark"


def main(site: str, told: dict[str, Any]) -> None:
    """Prepare, then serve until SIGTERM."""
    own = sites.simplejwt() if site == "simplejwt" else sites.toolkit(told["grace"])
    settings.configure(**{**sites.common(told["database"], own.pop("INSTALLED_APPS")), **own})
    django.setup()
    call_command("migrate", verbosity=0)
    _add_users(told["users"], told["password"])
    if site == "toolkit":
        _add_client()
    _close_connections()
    print(f"{site} listens on http://127.0.0.1:{told['port']}", flush=True)
    Server(told).run()


def _add_users(count: int, password: str) -> None:
    from django.contrib.auth.hashers import make_password
    from django.contrib.auth.models import User

    hashed = make_password(password)
    names = [f"user-{number}" for number in range(1, count + 1)]
    User.objects.bulk_create([User(username=name, password=hashed) for name in names], ignore_conflicts=True)


def _add_client() -> None:
    from oauth2_provider.models import Application

    Application.objects.get_or_create(
        client_id=CLIENT_ID,
        defaults={
            "name": "the clients of a benchmark",
            "client_type": Application.CLIENT_PUBLIC,
            "authorization_grant_type": Application.GRANT_PASSWORD,
        },
    )


def _close_connections() -> None:
    """Leave no connection to the processes that come by fork."""
    from django.db import connections

    connections.close_all()


class Server(BaseApplication):
    """gunicorn, told by a program instead of a command line."""

    def __init__(self, told: dict[str, Any]) -> None:
        self._told = told
        super().__init__()

    def load_config(self) -> None:
        """Threads keep connections open between requests; the default worker would close each."""
        chosen = {
            "bind": f"127.0.0.1:{self._told['port']}",
            "workers": self._told["workers"],
            "worker_class": "gthread",
            "threads": 8,
            "keepalive": 1200,
            "loglevel": "warning",
            "worker_tmp_dir": tempfile.gettempdir(),
            "control_socket_disable": True,
        }
        for name, value in chosen.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        return get_wsgi_application()


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
