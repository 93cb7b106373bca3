"""`keyturn demo`, run as its users run it: in a pipe, on a terminal, with trouble."""

import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from keyturn import __version__
from tests.support.demo_browser import Browser

KEYTURN = [sys.executable, "-W", "error", "-c", "from keyturn.cli import main; main()"]
# It takes the terminal that it is given, so that Ctrl-C pressed there reaches it.
ON_A_TERMINAL = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); from keyturn.cli import main; main()"
CHAPTERS = [
    "Sign in", "Call the API", "Turn the key", "An answer lost on the way", "A stolen access token",
    "Yesterday's copy", "Nobody keeps the stolen session", "Sign in again, on two devices", "Where am I signed in?",
    "Sign out",
]  # fmt: skip
WHOLE_SECRETS = re.compile(r"kt1\.[\w-]{6}|eyJ[\w-]{6}|[\w-]{43}")
COLOUR = re.compile(r"\x1b\[[\d;]*m")
# Far longer than a busy machine needs: it only bounds a hang.
PATIENCE = 60


def run(*arguments: str, code: str = "", **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", code] if code else [*KEYTURN, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", timeout=PATIENCE, check=False,
        stdin=subprocess.DEVNULL, env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment},
    )  # fmt: skip


class Terminal:
    """A program on a terminal of ours."""

    def __init__(self, process: "subprocess.Popen[bytes]", end: int) -> None:
        self.process = process
        self.said = ""
        self._end = end

    def read_until(self, text: str) -> str:
        """Read until it said something; what it said so far."""
        while text not in self.said:
            part = self._read()
            assert part, f"it ended without saying {text!r}:\n{self.said}"
        return self.said

    def read_to_end(self) -> str:
        """Read until it is over; all that it said."""
        while self._read():
            pass
        return self.said

    def press_control_c(self) -> None:
        os.write(self._end, b"\x03")

    def exit_code(self) -> int:
        self.read_to_end()
        return self.process.wait(PATIENCE)

    def _read(self) -> str:
        assert select.select([self._end], [], [], PATIENCE)[0], f"it hangs:\n{self.said}"
        try:
            part = os.read(self._end, 65536).decode("utf-8", "replace")
        except OSError:  # Linux says so where the other end was closed
            return ""
        self.said += part
        return part


def hear_signals() -> None:
    """Undo what a shell's ``&`` and ``nohup`` hand down: a terminal's programs hear Ctrl-C and its closing."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


@contextmanager
def terminal(folder: Path, *, columns: int = 100, warnings: str = "error", **environment: str) -> Iterator[Terminal]:
    settings = {
        **{name: value for name, value in os.environ.items() if name != "NO_COLOR"},
        "TMPDIR": str(folder), "COLUMNS": str(columns), "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8",
        **environment,
    }  # fmt: skip
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-W", warnings, "-c", ON_A_TERMINAL, "demo"], stdin=theirs, stdout=theirs, stderr=theirs,
        env=settings, start_new_session=True, preexec_fn=hear_signals,  # noqa: PLW1509 - no other thread runs here
    )  # fmt: skip
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


@pytest.fixture(scope="module")
def read_in_a_pipe(tmp_path_factory: pytest.TempPathFactory) -> "tuple[subprocess.CompletedProcess[str], Path]":
    folder = tmp_path_factory.mktemp("pipe")
    return run("demo", TMPDIR=str(folder)), folder


class TestInAPipe:
    def test_it_ends_well_after_the_story(self, read_in_a_pipe) -> None:
        done, _ = read_in_a_pipe
        assert (done.returncode, done.stderr) == (0, "")
        assert "Everything went as told." in done.stdout

    def test_it_tells_every_step_with_its_request_its_answer_and_a_check(self, read_in_a_pipe) -> None:
        text = read_in_a_pipe[0].stdout
        parts = re.split(r"^ ?\d+  (?=[A-Z])", text, flags=re.MULTILINE)[1:]
        assert [part.splitlines()[0].rpartition("  ")[0].strip() for part in parts] == CHAPTERS
        assert [part for part in parts if not ("→ " in part and "← " in part and "✓ " in part)] == []

    def test_it_shows_what_only_keyturn_does(self, read_in_a_pipe) -> None:
        text = read_in_a_pipe[0].stdout
        assert [
            word for word in ("binding_mismatch", "ReuseDetected", "session_ended", "204", "/docs") if word not in text
        ] == []

    def test_it_prints_no_token_whole(self, read_in_a_pipe) -> None:
        assert WHOLE_SECRETS.findall(read_in_a_pipe[0].stdout) == []

    def test_it_prints_plain_text(self, read_in_a_pipe) -> None:
        assert "\x1b" not in read_in_a_pipe[0].stdout
        assert [line for line in read_in_a_pipe[0].stdout.splitlines() if line != line.rstrip()] == []

    def test_it_leaves_no_file_behind(self, read_in_a_pipe) -> None:
        assert list(read_in_a_pipe[1].iterdir()) == []

    def test_it_speaks_ascii_where_nothing_else_is_read(self) -> None:
        done = run("demo", PYTHONIOENCODING="ascii")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.isascii()

    def test_a_reader_who_leaves_early_costs_no_traceback_and_no_file(self, tmp_path: Path) -> None:
        environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
        with subprocess.Popen(
            [*KEYTURN, "demo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.readline()
            process.stdout.close()
            assert "Traceback" not in process.stderr.read()
        assert list(tmp_path.iterdir()) == []


class TestOnATerminal:
    def test_it_goes_on_serving_and_the_curl_lines_work_as_pasted(
        self, tmp_path: Path, need: Callable[[str], str]
    ) -> None:
        need("curl")
        with terminal(tmp_path, NO_COLOR="1") as shown:
            shown.read_until("password ")
            lines = [line.strip() for line in shown.said.splitlines() if "curl -s" in line]
            done = subprocess.run(
                ["sh", "-ec", "\n".join(lines)], capture_output=True, text=True, timeout=PATIENCE, check=False
            )
            assert done.returncode == 0, done.stderr
            assert '"access_token":"' in done.stdout
            assert done.stdout.endswith('{"subject":"user-1","name":"Ada"}')
            shown.press_control_c()
            assert shown.exit_code() == 0

    def test_it_invites_to_the_page_whose_tokens_live_as_long_as_one_watches(self, tmp_path: Path) -> None:
        with terminal(tmp_path, NO_COLOR="1") as shown:
            shown.read_until("password ")
            shown.read_until(".\r\n")
            found = re.search(
                r"^ *(http://127\.0\.0\.1:(\d+)/)\s+User ada, password ([0-9a-f]+)\.", shown.said, re.MULTILINE
            )
            assert found, shown.said
            browser = Browser(int(found[2]))
            about = browser.get("/demo/about").body
            assert (about["password"], about["settings"]["access_token_lifetime"]) == (found[3], 30)
            assert browser.events() == []  # what the story did is not the visitor's
            browser.sign_in("ada", found[3])
            assert browser.me().status == 200
            assert [event["type"] for event in browser.events()] == ["SessionStarted"]
            shown.press_control_c()
            assert shown.exit_code() == 0

    def test_control_c_stops_it_cleanly(self, tmp_path: Path) -> None:
        with terminal(tmp_path) as shown:
            shown.read_until("password ")
            assert list(tmp_path.iterdir()) != []
            shown.press_control_c()
            assert shown.exit_code() == 0
            assert "Traceback" not in shown.said
        assert list(tmp_path.iterdir()) == []

    def test_control_c_in_the_middle_stops_it_cleanly_too(self, tmp_path: Path) -> None:
        # Interrupted anywhere, a library may have just opened a socket, whose warning is nobody's concern here.
        with terminal(tmp_path, warnings="default::DeprecationWarning") as shown:
            shown.read_until("Sign in")
            shown.press_control_c()
            assert shown.exit_code() == 130
            assert "Traceback" not in shown.said
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
    def test_being_told_to_end_leaves_no_file_behind(self, tmp_path: Path, number: signal.Signals) -> None:
        with terminal(tmp_path) as shown:
            shown.read_until("password ")
            shown.process.send_signal(number)
            assert shown.exit_code() == 128 + number
        assert list(tmp_path.iterdir()) == []

    def test_it_shows_colours(self, tmp_path: Path) -> None:
        with terminal(tmp_path) as shown:
            assert COLOUR.search(shown.read_until("Sign in"))

    def test_no_color_is_obeyed(self, tmp_path: Path) -> None:
        with terminal(tmp_path, NO_COLOR="1") as shown:
            styles = set(COLOUR.findall(shown.read_until("password ")))
        assert [style for style in styles if re.search(r"[;\[]3\d", style)] == []

    def test_a_narrow_window_gets_narrow_lines(self, tmp_path: Path) -> None:
        with terminal(tmp_path, columns=44) as shown:
            story = COLOUR.sub("", shown.read_until("Everything went as told")).partition("Everything")[0].splitlines()
        assert [line for line in story if len(line) > 44] == []


class TestThePageAtOnce:
    def test_it_tells_no_story_and_stays_in_a_pipe_too_and_opens_the_browser(self, tmp_path: Path) -> None:
        opened, folder = tmp_path / "opened", tmp_path / "folder"
        folder.mkdir()
        browses = tmp_path / "browser"
        browses.write_text(f'#!/bin/sh\nprintf %s "$1" > {opened}.new && mv {opened}.new {opened}\n')
        browses.chmod(0o755)
        settings = {**os.environ, "TMPDIR": str(folder), "BROWSER": str(browses), "PYTHONUNBUFFERED": "1"}
        with subprocess.Popen(
            [*KEYTURN, "demo", "--no-story", "--open"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=settings, stdin=subprocess.DEVNULL, preexec_fn=hear_signals,  # noqa: PLW1509 - no other thread runs here
        ) as process:  # fmt: skip
            assert process.stdout is not None
            said = ""
            while "password " not in said:
                line = process.stdout.readline()
                assert line, said
                said += line
            port = re.search(r"http://127\.0\.0\.1:(\d+)/\n", said)
            assert port, said
            about = Browser(int(port[1])).get("/demo/about").body
            deadline = time.monotonic() + PATIENCE
            while not opened.exists():
                assert time.monotonic() < deadline, "no browser was opened"
                time.sleep(0.01)
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=PATIENCE)
        assert about["password"] in said
        assert CHAPTERS[0] + "  " not in said
        assert (process.returncode, errors) == (128 + signal.SIGTERM, "")
        assert list(folder.iterdir()) == []
        assert opened.read_text() == f"http://127.0.0.1:{port[1]}/"


class TestInTrouble:
    def test_a_port_in_use_is_named(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            done = run("demo", "--port", str(port))
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"Port {port} is in use by another program. Choose another with --port")

    def test_the_port_asked_for_is_taken(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        done = run("demo", "--port", str(port))
        assert done.returncode == 0
        assert f"http://127.0.0.1:{port}" in done.stdout

    @pytest.mark.parametrize("wrong", [["--port", "x"], ["--port", "70000"], ["--prt", "1"], ["extra"]])
    def test_wrong_usage_is_told_from_a_refusal(self, wrong: list[str]) -> None:
        done = run("demo", *wrong)
        assert (done.returncode, done.stdout) == (2, "")

    @pytest.mark.parametrize("missing", ["click", "rich", "uvicorn", "starlette"])
    def test_a_missing_extra_says_how_to_get_it(self, missing: str) -> None:
        done = run(code=f"import sys; sys.modules[{missing!r}] = None; from keyturn.cli import main; main()")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == (
            f"The command line needs {missing}, which is not installed: pip install 'keyturn[server]'\n"
        )

    def test_a_fault_of_ours_is_not_taken_for_a_missing_extra(self) -> None:
        done = run(code="import sys; sys.modules['keyturn.server.story'] = None; from keyturn.cli import main; main()")
        assert "ModuleNotFoundError" in done.stderr

    def test_a_step_that_goes_otherwise_is_shown_and_ends_with_1(self, tmp_path: Path) -> None:
        code = (
            "import sys, keyturn.verifier; keyturn.verifier.proves = lambda *_: True\n"
            "sys.argv = ['keyturn', 'demo']; from keyturn.cli import main; main()"
        )
        done = run(code=code, TMPDIR=str(tmp_path))
        assert done.returncode == 1
        told, seen = (line.strip() for line in done.stdout.splitlines()[-2:])
        assert (told, seen) == ("told: GET /api/me answers 401 binding_mismatch", "seen: 200")
        assert list(tmp_path.iterdir()) == []


class TestHelp:
    def test_the_program_says_where_to_begin(self) -> None:
        done = run("--help")
        assert done.returncode == 0
        assert "Begin with: keyturn demo" in done.stdout

    def test_the_command_says_what_it_does_and_shows_examples(self) -> None:
        done = run("demo", "--help")
        assert done.returncode == 0
        assert "keyturn demo --port 8000" in done.stdout
        assert "until Ctrl-C" in " ".join(done.stdout.split())

    def test_the_version_is_that_of_the_package(self) -> None:
        assert run("--version").stdout == f"keyturn {__version__}\n"
