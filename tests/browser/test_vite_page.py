"""The example's page on another port signs in to the example's API, as a reader of its README would do it."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.packages import node_modules
from tests.browser.serving import wait_until

EXAMPLE = Path(__file__).parents[2] / "examples" / "vite-page"


@pytest.fixture
def address(tmp_path: Path, need: Callable[[str], str], chromium: Browser) -> Iterator[str]:
    """The example's API and page, started in a copy of its folder; gives the page's address."""
    folder = tmp_path / "vite-page"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("node_modules", "keys", "*.db*", "__pycache__"))
    modules = node_modules((folder / "package.json").read_text(), need)
    (folder / "node_modules").symlink_to(modules, target_is_directory=True)
    api, page = free_port(), free_port()
    environment = {**os.environ, "ISSUER": f"http://localhost:{api}", "VITE_API": f"http://localhost:{api}"}
    uvicorn = [sys.executable, "-m", "uvicorn", "api:app", "--port", str(api)]
    vite = [need("node"), str(modules / "vite" / "bin" / "vite.js"), "--port", str(page), "--strictPort"]
    with ExitStack() as stack:
        for command, port in ((uvicorn, api), (vite, page)):
            stack.enter_context(running(command, folder, environment, port))
        yield f"http://localhost:{page}/"


@contextmanager
def running(command: list[str], folder: Path, environment: dict[str, str], port: int) -> Iterator[None]:
    """Run a server until the test is through with it."""
    log = folder / f"{port}.log"
    with (
        log.open("w") as output,
        subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output) as process,
    ):
        try:
            wait_until(lambda: process.poll() is not None or answers(port))
            assert process.poll() is None, log.read_text()
            yield
        finally:
            process.terminate()


def answers(port: int) -> bool:
    try:
        socket.create_connection(("localhost", port), timeout=1).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def press(page: Page, button: str, outcome: str) -> None:
    page.locator(button).click()
    expect(page.locator("output")).to_have_text(outcome)


@pytest.mark.ids("CK-07", "CK-12", "XS-09", "RT-13")
def test_a_page_on_another_port_signs_in_calls_refreshes_and_signs_out(address: str, jar: BrowserContext) -> None:
    page = jar.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    press(page, "#me", "me: 401")
    page.fill("[name=password]", "wrong")
    press(page, "#sign-in button", "sign-in: 401")
    page.fill("[name=password]", "wonderland")
    press(page, "#sign-in button", "sign-in: 200")
    press(page, "#me", "me: u-1")
    assert {cookie["name"] for cookie in jar.cookies()} == {"kt_refresh", "kt_bind"}
    assert {(cookie["httpOnly"], cookie["sameSite"]) for cookie in jar.cookies()} == {(True, "Strict")}
    assert page.evaluate("() => document.cookie") == ""
    press(page, "#refresh", "refresh: 200")
    page.reload()  # the page forgets its access token; the cookie brings the next
    press(page, "#me", "me: u-1")
    press(page, "#sign-out", "sign-out: 204")
    assert jar.cookies() == []
    press(page, "#me", "me: 401")
    press(page, "#refresh", "refresh: 401")
    assert complaints == []
