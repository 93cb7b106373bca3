"""What every test can ask for: a program of the machine, and the table of promises that the tests decide."""

import os
import shutil
from collections.abc import Callable

import pytest

# How to get the programs that tests need besides Python: Debian's name of each.
DEBIAN_PACKAGES = {"chromium": "chromium", "node": "nodejs", "npm": "npm"}


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests run on asyncio: what the servers and the frameworks here run on."""
    return "asyncio"


@pytest.fixture(scope="session")
def need() -> Callable[[str], str]:
    """The path of a program; without it the test is skipped, saying how to get it, and with CI=true it fails."""

    def find(program: str) -> str:
        if path := shutil.which(program):
            return path
        reason = (
            f"needs {program}: apt-get install {DEBIAN_PACKAGES.get(program, program)},"
            " or KEYTURN_SETUP=1 make setup"
        )
        return pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)

    return find
