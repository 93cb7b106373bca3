"""The examples that have a page of their own: their API and Vite, started in a copy of the folder, as a reader would."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page, expect

import keyturn
from tests.browser.packages import node_modules
from tests.browser.serving import wait_until
from tests.support.servers._process import free_port

EXAMPLES = Path(__file__).parents[2] / "examples"
CLIENT = Path(keyturn.__file__).parent / "client"
PAGES = ("vite-page", "react", "axios")
LEFT = shutil.ignore_patterns("node_modules", "keys", "*.db*", "__pycache__")


@dataclass(frozen=True)
class Example:
    """Where the page and its API are."""

    page: str
    api: str


def packages_of(example: str) -> dict[str, str]:
    """The packages that an example names, with their exact versions; ours is copied, not fetched."""
    manifest = json.loads((EXAMPLES / example / "package.json").read_text())
    named = {**manifest.get("dependencies", {}), **manifest["devDependencies"]}
    return {name: version for name, version in named.items() if name != "keyturn"}


@contextmanager
def running_example(example: str, folder: Path, need: Callable[[str], str]) -> Iterator[Example]:
    """Start an example's page, and the API that all of them share; no file of the project is touched."""
    page, api = folder / example, folder / "api"
    shutil.copytree(EXAMPLES / example, page, ignore=LEFT)
    api.mkdir()
    shutil.copy(EXAMPLES / "vite-page" / "api.py", api)
    modules = installed(page, need)
    page_port, api_port = free_port(), free_port()
    environment = {**os.environ, "ISSUER": f"http://localhost:{api_port}", "VITE_API": f"http://localhost:{api_port}"}
    uvicorn = [sys.executable, "-m", "uvicorn", "api:app", "--port", str(api_port)]
    vite = [need("node"), str(modules / "vite" / "bin" / "vite.js"), "--port", str(page_port), "--strictPort"]
    with ExitStack() as stack:
        for command, where, port in ((uvicorn, api, api_port), (vite, page, page_port)):
            stack.enter_context(_running(command, where, environment, port))
        yield Example(f"http://localhost:{page_port}/", f"http://localhost:{api_port}")


def installed(page: Path, need: Callable[[str], str]) -> Path:
    """Give the page its own ``node_modules``: what all examples need is fetched once, ours is copied beside it."""
    wanted = {name: version for example in PAGES for name, version in packages_of(example).items()}
    fetched = node_modules(json.dumps({"private": True, "devDependencies": wanted}), need)
    modules = page / "node_modules"
    modules.mkdir()
    for package in fetched.iterdir():
        (modules / package.name).symlink_to(package, target_is_directory=package.is_dir())
    shutil.copytree(CLIENT, modules / "keyturn")
    return modules


@contextmanager
def _running(command: list[str], folder: Path, environment: dict[str, str], port: int) -> Iterator[None]:
    """Run a server until the test is through with it."""
    log = folder / f"{port}.log"
    with (
        log.open("w") as output,
        subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output) as process,
    ):
        try:
            wait_until(lambda: process.poll() is not None or _answers(port), patience=60)
            assert process.poll() is None, log.read_text()
            yield
        finally:
            process.terminate()


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("localhost", port), timeout=1).close()
    except OSError:
        return False
    return True


def press(page: Page, button: str, outcome: str) -> None:
    """Press a button and wait for what the page says then."""
    page.locator(button).click()
    expect(page.locator("output")).to_have_text(outcome, timeout=15_000)
