"""The peers' own virtual environment: made on demand, pinned, never mixed with ours."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

from ..measure import Effort
from ..report import ROOT

_FOLDER = ROOT / ".venv-bench"
_REQUIREMENTS = Path(__file__).parent / "requirements.txt"
_CONSTRAINTS = ROOT / "constraints.txt"


def peers_python(effort: Effort) -> Path | None:
    """Give the interpreter that sees the peers; None where it is missing and may not be made, or cannot be."""
    python, stamp = _FOLDER / "bin" / "python", _FOLDER / f".made-for-{_state()}"
    if stamp.exists():
        return python
    return python if effort.may_install and _make(python, stamp) else None


def environment() -> dict[str, str]:
    """Give the variables for a child of either interpreter: ours is found by its sources."""
    return {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}


def _state() -> str:
    inputs = [sys.version.encode(), _REQUIREMENTS.read_bytes(), _CONSTRAINTS.read_bytes()]
    return hashlib.sha256(b"\0".join(inputs)).hexdigest()[:16]


def _make(python: Path, stamp: Path) -> bool:
    print(f"making {_FOLDER.name} for the peers", file=sys.stderr, flush=True)
    venv.create(_FOLDER, clear=True, with_pip=True)
    command = [python, "-m", "pip", "--disable-pip-version-check", "-qq", "install"]
    made = subprocess.run([*command, "-c", _CONSTRAINTS, "-r", _REQUIREMENTS], check=False)
    if made.returncode == 0:
        stamp.touch()
    else:
        print("the peers cannot be installed here: their lines stay empty", file=sys.stderr)
    return made.returncode == 0
