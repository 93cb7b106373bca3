"""Programs of the machine that tests need besides Python."""

import os
import shutil
from pathlib import Path

import pytest

# Debian's names of the packages, where they differ from the program's.
DEBIAN_PACKAGES = {
    "node": "nodejs",
    "certutil": "libnss3-tools",
    "WebKitWebDriver": "webkit2gtk-driver",
    "Xvfb": "xvfb",
    "initdb": "postgresql",
    "postgres": "postgresql",
    "mariadbd": "mariadb-server",
    "mariadb-install-db": "mariadb-server",
    "nginx": "nginx-light",
    "systemd-analyze": "systemd",
}


def find_program(name: str) -> str:
    """Return the program's path; without it the test is skipped, saying how to get it, and with CI=true it fails."""
    if path := shutil.which(name) or shutil.which(name, path=os.pathsep.join(map(str, _off_the_path()))):
        return path
    reason = f"needs {name}: apt-get install {DEBIAN_PACKAGES.get(name, name)}, or KEYTURN_SETUP=1 make setup"
    return pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)


def _off_the_path() -> list[Path]:
    """Where Debian keeps servers: several PostgreSQL beside each other (the newest first), and what is root's to start."""
    versions = Path("/usr/lib/postgresql").glob("*/bin")
    return [*sorted(versions, key=lambda path: float(path.parent.name), reverse=True), Path("/usr/sbin")]
