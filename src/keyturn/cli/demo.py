"""``keyturn demo``: a server, a user, and the story of a session."""

from __future__ import annotations

import errno
import secrets
import signal
import socket
import sys
import tempfile
import threading
import webbrowser
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

import click
from rich.console import Console

from ..server.demo_app import ME, USERNAME, Demo, build
from ..server.serving import LOOPBACK, listen, served
from ..server.story import Story, StoryDiffersError
from .screen import Screen

_HELP: Final = """Watch Keyturn do its job: a server, a user, and the story of a session.

Starts a real server on this machine only, with a SQLite database and fresh keys in a temporary folder, and sends it
real requests: sign in, call, refresh, an answer lost and retried, a stolen access token, a thief with yesterday's
copy, a list of devices, sign out. Every answer is checked; if one is not as told, the exit code is 1.

On a terminal the server goes on until Ctrl-C, with a page to open in your browser: it draws your session as it lives
and lets you play the thief. Elsewhere (in a pipe, in CI) the program ends with the story. Either way nothing is left
behind.

\b
    keyturn demo                watch it, then play with it
    keyturn demo --open         and let the page be opened
    keyturn demo --no-story     the page at once
    keyturn demo --port 8000    on a port of your choice
    keyturn demo | less         just read it
"""

#: What an application adds, besides its own users.
_NEXT: Final = (
    "from keyturn.fastapi import Keyturn",
    'auth = Keyturn(Settings(profile="development"), store="sqlite:///app.db", keys="keys", users=Users())',
    "auth.install(app)",
    '@app.get("/me")',
    "async def me(claims: Annotated[Claims, Depends(auth.required)]): ...",
)


@click.command(help=_HELP, short_help="Watch it do its job: a server, a user, a story.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, metavar="PORT", help="Where to serve; a free port if left out."
)
@click.option("--no-story", "at_once", is_flag=True, help="Serve the page at once, and until a signal says to stop.")
@click.option("--open", "opens", is_flag=True, help="Open the page in the browser.")
def demo(port: int, *, at_once: bool, opens: bool) -> None:
    """Tell the story, and on a terminal go on serving."""
    console = Console(highlight=False)
    # Also where a supervisor stops it, or the terminal is closed, the temporary folder is removed.
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _stop)
    try:
        listening = listen(port)
    except OSError as error:
        sys.exit(_why_no_port(port, error))
    with closing(listening):
        way = _Way(story=not at_once, stays=at_once or console.is_terminal, opens=opens)
        sys.exit(_run(Screen(console), listening, way))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Way:
    """What the program does.

    Args:
        story: whether it is told.
        stays: whether the server goes on after it.
        opens: whether the browser is opened then.
    """

    story: bool
    stays: bool
    opens: bool


def _stop(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def _why_no_port(port: int, error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return (
                f"Port {port} is in use by another program. Choose another with --port, or leave it out for a free one."
            )
        case errno.EACCES:
            return f"Port {port} needs more rights. Choose one above 1023 with --port, or leave it out for a free one."
        case _:
            return f"Port {port} cannot be had: {error.strerror}."


def _run(screen: Screen, listening: socket.socket, way: _Way) -> int:
    port: int = listening.getsockname()[1]
    # The user is real while the server runs, so her password is not one that everybody knows.
    address, password = f"http://{LOOPBACK}:{port}", secrets.token_hex(6)
    with tempfile.TemporaryDirectory(prefix="keyturn-demo-") as folder:
        made = build(Path(folder), address, password)
        with closing(made.store), served(made.app, listening):
            try:
                told = _tell(screen, made, address, port, password) if way.story else 0
            except KeyboardInterrupt:
                return 130
            if told == 0 and way.stays:
                _stay(screen, made, address, password, opens=way.opens)
            return told


def _tell(screen: Screen, made: Demo, address: str, port: int, password: str) -> int:
    screen.heading("Keyturn, shown with real requests")
    screen.aside(
        f"A server at {address}, on a SQLite database and fresh keys in a temporary folder, with one user, {USERNAME}. "
        "Secrets are shortened to their ends. Its clock stands at yesterday and is moved on by the story, so that "
        "hours pass in no time: what you see is what would happen over a day."
    )
    try:
        Story(made, port, password, screen).tell()
    except StoryDiffersError as error:
        screen.differs(error.told, error.seen)
        return 1
    except OSError as error:
        screen.differs("the server answers", f"{type(error).__name__}: {error}")
        return 1
    _say_what_next(screen)
    return 0


def _say_what_next(screen: Screen) -> None:
    screen.heading(
        "Everything went as told. The same in your application, with pip install 'keyturn[fastapi]' uvicorn:"
    )
    for line in _NEXT:
        screen.pasteable(line)
    screen.aside("Under uvicorn, http://localhost:8000/docs then shows the routes, and its Authorize button signs in.")


def _stay(screen: Screen, made: Demo, address: str, password: str, *, opens: bool) -> None:
    user = f"-u {USERNAME}:{password}"
    sign_in = f"curl -s -X POST {user} {address}/auth/login"
    token = f"""TOKEN=$({sign_in} | sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/')"""
    try:
        with made.goes_on():
            screen.heading("The server goes on until Ctrl-C. Sign in from another terminal, and call:")
            screen.pasteable(sign_in)
            screen.pasteable(token)
            screen.pasteable(f'curl -s -H "Authorization: Bearer $TOKEN" {address}{ME}')
            screen.heading("Or see a session live, and play the thief, in your browser:")
            screen.pasteable(f"{address}/")
            screen.aside(f"User {USERNAME}, password {password}.")
            if opens:
                webbrowser.open(f"{address}/")
            threading.Event().wait()
    except KeyboardInterrupt:
        screen.heading("Stopping, and removing the temporary folder.")
