"""The peers' own environments: made on demand, pinned, never mixed with ours."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

from ..measure import Effort
from ..report import ROOT

_HERE = Path(__file__).parent
_CONSTRAINTS = ROOT / "constraints.txt"
#: What runs the program of npm's package, which finds its packages beside itself.
OIDC_PROVIDER = _HERE / "oidc_provider"


def peers_python(effort: Effort) -> Path | None:
    """Give the interpreter that sees the peers; None where it is missing and may not be made, or cannot be."""
    return _python(ROOT / ".venv-bench", _HERE / "requirements.txt", may_install=effort.may_install)


def django_python(*, may_install: bool) -> Path | None:
    """Give the interpreter that sees Django and its packages; None where it is missing and may not be made."""
    return _python(ROOT / ".venv-bench-django", _HERE / "requirements-django.txt", may_install=may_install)


def oidc_provider(*, may_install: bool) -> Path | None:
    """Give the folder of the oidc-provider with its packages; None where they are missing and may not be fetched."""
    package = OIDC_PROVIDER / "package.json"
    stamp = OIDC_PROVIDER / "node_modules" / f".made-for-{_sum_of([package.read_bytes()])}"
    if stamp.exists():
        return OIDC_PROVIDER
    npm = shutil.which("npm")
    if not may_install or npm is None:
        return None
    _say("oidc_provider/node_modules")
    shutil.rmtree(stamp.parent, ignore_errors=True)
    command = [npm, "install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    return OIDC_PROVIDER if _made(command, stamp, OIDC_PROVIDER) else None


def environment() -> dict[str, str]:
    """Give the variables for a child of any interpreter: ours is found by its sources."""
    return {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}


def _python(folder: Path, requirements: Path, *, may_install: bool) -> Path | None:
    state = _sum_of([sys.version.encode(), requirements.read_bytes(), _CONSTRAINTS.read_bytes()])
    python, stamp = folder / "bin" / "python", folder / f".made-for-{state}"
    if stamp.exists():
        return python
    if not may_install:
        return None
    _say(folder.name)
    venv.create(folder, clear=True, with_pip=True)
    install = [python, "-m", "pip", "--disable-pip-version-check", "-qq", "install"]
    return python if _made([*install, "-c", _CONSTRAINTS, "-r", requirements], stamp, ROOT) else None


def _sum_of(inputs: Sequence[bytes]) -> str:
    return hashlib.sha256(b"\0".join(inputs)).hexdigest()[:16]


def _say(what: str) -> None:
    print(f"making {what} for the peers", file=sys.stderr, flush=True)


def _made(command: Sequence[str | Path], stamp: Path, folder: Path) -> bool:
    made = subprocess.run(command, cwd=folder, stdout=sys.stderr, check=False)
    if made.returncode == 0:
        stamp.touch()
    else:
        print("the peers cannot be installed here: their lines stay empty", file=sys.stderr)
    return made.returncode == 0
