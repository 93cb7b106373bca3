"""How a peer's program becomes the peer: the same process, so that who started it can end it."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import NoReturn

from .environment import OIDC_PROVIDER, django_python, environment, oidc_provider


def run_django(site: str, asked: argparse.Namespace) -> NoReturn:
    """Become a site in Django, installing it where it is missing."""
    python = _found(django_python(may_install=True))
    _become([str(python), "-m", "benchmarks.peers.django_site", site, json.dumps(vars(asked))])


def run_oidc_provider(asked: argparse.Namespace) -> NoReturn:
    """Become the oidc-provider, installing it where it is missing."""
    _found(oidc_provider(may_install=True))
    _become(["node", str(OIDC_PROVIDER / "server.mjs"), json.dumps(vars(asked))])


def _found(place: Path | None) -> Path:
    if place is None:
        sys.exit("it cannot be installed here")
    return place


def _become(command: list[str]) -> NoReturn:
    sys.stdout.flush()
    os.execvpe(command[0], command, environment())
