"""Plays the console blocks of a page in an empty folder, and writes down what came out: python -m scripts.transcript.

Every line that begins with ``$`` is run, by one shell for the whole page; what stands below it is what it printed. Ids,
times, the port, the folder and secrets differ from run to run: each is written down as one and the same sample, and a
sample in a command is run as what it stands for. So a page that was played again is equal to itself, or something has
changed.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Final

from keyturn.keyrings import now_utc
from keyturn.session import session_id_bytes

PAGE: Final = Path(__file__).resolve().parent.parent / "docs/how-to/command-line.md"
#: The folder, the port and the time of the page.
FOLDER: Final = "/srv/id"
PORT: Final = "8000"
BEGUN: Final = datetime(2026, 1, 31, 12, tzinfo=UTC)
_BLOCK: Final = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: So long after something was done lie the moments that the commands tell of it: the end of an access token, the first
#: signature of a new key and the last of an old one, the end of a reset, of a session that is not refreshed, of one that
#: is. All that is done happens at one and the same moment on the page, however slow the machine is.
_AFTER: Final = tuple(timedelta(minutes=minutes) for minutes in (0, 5, 7, 60, 69, 24 * 60, 30 * 24 * 60, 90 * 24 * 60))
#: Whoever rounds to whole minutes or seconds may be so far off.
_ROUNDED: Final = timedelta(minutes=1)
_PATIENCE_SECONDS: Final = 300
#: Written behind what a command has printed; then the shell is asked for the next one.
_END: Final = "\x1e"
_SECRETS: Final = (
    (re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+"), "<access token>"),
    (re.compile(r"kt1\.[\w-]{20,}"), "<refresh token>"),
    (re.compile(r"ktreset1\.[\w-]{20,}"), "<reset token>"),
)
_IDS: Final = re.compile(r"(?<![\w./-])(?:usr_[\w-]{20}|[\w-]{22}|[\w-]{43}|[0-9a-f]{16}|[0-9a-f]{64})(?![\w-])")
_TIME: Final = re.compile(r"\b20[2-4]\d-\d\d-\d\d([T ])(\d\d:\d\d)(:\d\d)?(?:\.\d+)?(Z|\+00:00| UTC)")
_SECONDS: Final = re.compile(r"\b[12]\d{9}\b")


class Samples:
    """What stands on the page for what differs from run to run.

    Args:
        folder: where the play takes place.
        port: what stands behind `PORT`.
        now: tells the time.
    """

    def __init__(self, folder: str, port: str, now: Callable[[], datetime] = now_utc) -> None:
        self._now = now
        self._begun = now()
        self._places = {folder: FOLDER, port: PORT}
        self._ids: dict[str, str] = {}

    def shown(self, text: str) -> str:
        """Give an output as the page shows it."""
        for real, sample in self._places.items():
            text = text.replace(real, sample)
        for pattern, sample in _SECRETS:
            text = pattern.sub(sample, text)
        text = _TIME.sub(self._time, text)
        text = _SECONDS.sub(lambda found: str(int(self._moved(_of_seconds(found[0])).timestamp())), text)
        return _IDS.sub(lambda found: self._id(found[0]), text)

    def run(self, command: str) -> str:
        """Give a command of the page as it is to be run."""
        for real, sample in [*self._ids.items(), *self._places.items()]:
            command = command.replace(sample, real)
        return command

    def _id(self, text: str) -> str:
        if len(text) == 22 and session_id_bytes(text) is None:
            return text
        if not re.search(r"[0-9]", text) and text.lower() == text:  # words that are joined by hyphens
            return text
        if text not in self._ids:
            # Counted apart: a session more on the page leaves its users and keys what they were.
            self._ids[text] = _sample(text, sum(len(each) == len(text) for each in self._ids))
        return self._ids[text]

    def _time(self, found: re.Match[str]) -> str:
        moment = datetime.fromisoformat(f"{found[0][:10]}T{found[2]}{found[3] or ':59'}+00:00")
        moved = self._moved(moment)
        return f"{moved:%Y-%m-%d}{found[1]}{moved:%H:%M}{':00' if found[3] else ''}{found[4]}"

    def _moved(self, moment: datetime) -> datetime:
        # Whatever was done lies between the beginning and now, so of what may come after it the least that reaches now.
        done = (after for after in _AFTER if moment - after <= self._now() + _ROUNDED)
        return BEGUN + next(done, moment - self._begun)


def _of_seconds(text: str) -> datetime:
    return datetime.fromtimestamp(int(text), UTC)


def _sample(text: str, number: int) -> str:
    digest = sha256(f"sample {number} of {len(text)}".encode())
    if len(text) in {16, 64}:
        return digest.hexdigest()[: len(text)]
    plain = urlsafe_b64encode(digest.digest()).decode().replace("-", "x").replace("_", "y")
    # The last character of a session id has two bits only.
    return f"usr_{plain[:20]}" if text.startswith("usr_") else plain[: len(text) - 1] + "A"


def play(page: str, folder: Path) -> str:
    """Give a page with what its commands print now.

    Args:
        page: Markdown with blocks of the language ``console``.
        folder: an empty one.

    Raises:
        TimeoutError: a command did not come back.
    """
    port = _free_port()
    samples = Samples(str(folder), port)
    with closing(Shell(folder, port)) as shell:

        def played(block: re.Match[str]) -> str:
            return "```console\n" + "".join(_played(block[1], shell, samples)) + "```"

        return _BLOCK.sub(played, page)


def _played(block: str, shell: Shell, samples: Samples) -> Iterator[str]:
    for command in re.findall(r"^\$ (.*(?:\\\n.*)*)$", block, re.MULTILINE):
        yield f"$ {command}\n"
        printed = samples.shown(shell.run(samples.run(command)))
        yield printed + ("\n" if printed and not printed.endswith("\n") else "")


class Shell:
    """One shell for a whole page, in which ``keyturn`` is this installation's.

    Args:
        folder: where it starts.
        port: where ``keyturn serve`` listens.
    """

    def __init__(self, folder: Path, port: str) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("KEYTURN_", "COLUMNS"))}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        settings = {"PATH": path, "KEYTURN_SERVER__PORT": port, "PYTHONIOENCODING": "utf-8", "PYTHONWARNINGS": "error"}
        self._process = subprocess.Popen(
            ["bash", "--norc", "-s"], cwd=folder, env={**kept, **settings, "PWD": str(folder)}, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8", start_new_session=True,
        )  # fmt: skip
        signal.signal(signal.SIGALRM, _too_long)

    def run(self, command: str) -> str:
        """Run a command to its end; what it printed, on either stream."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        # Braces, so that variables stay; and what a command finds in $? is how the one before it ended.
        script = f"{{ {command}\n}} </dev/null 2>&1\nkept=$?; printf '{_END}'; (exit $kept)\n"
        self._process.stdin.write(script)
        self._process.stdin.flush()
        signal.alarm(_PATIENCE_SECONDS)
        try:
            return "".join(iter(self._next, _END))
        finally:
            signal.alarm(0)

    def _next(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.read(1) or _END

    def close(self) -> None:
        """End it, and whatever it began."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        self._process.communicate()


def _too_long(_number: int, _frame: object) -> None:
    raise TimeoutError("a command of the page did not come back")


def _free_port() -> str:
    """Give a port of as many digits as the page's, so that columns stay aligned."""
    for port in range(8100 + os.getpid() % 1000, 9999):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return str(port)
    raise OSError("there is no free port")


def main() -> None:
    """Play the page and write it anew."""
    with tempfile.TemporaryDirectory(prefix="keyturn-transcript-") as folder:
        PAGE.write_text(play(PAGE.read_text(), Path(folder).resolve()))


if __name__ == "__main__":
    main()
