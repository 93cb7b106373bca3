"""deploy/Containerfile, carried out step by step without an engine: in a folder, an environment and a process of its own.

One line is read and not run: the one that makes the image's user, since it would make one on this machine.
"""

import json
import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.nginx import free_ports
from tests.support.programs import find_program
from tests.support.serve_process import PATIENCE, Served

ROOT = Path(__file__).parents[2]
FILE = ROOT / "deploy/Containerfile"
#: What pip says where it reaches no index at all.
UNREACHABLE = re.compile(
    r"NewConnectionError|ConnectTimeoutError|Temporary failure in name resolution|ProxyError|Network is unreachable"
)
PASSWORD = "correct horse battery"
#: Places in the image that are elsewhere here.
PLACES = ("/opt/keyturn", "/var/lib/keyturn", "/tmp/")
_ROOT = os.geteuid() == 0


def instructions() -> list[tuple[str, str]]:
    lines = [line for line in FILE.read_text().splitlines() if line and not line.startswith("#")]
    return [tuple(line.split(" ", 1)) for line in lines]


def last(name: str) -> str:
    """Give what an instruction says that the last of its name decides."""
    return [rest for each, rest in instructions() if each == name][-1]


@dataclass
class Image:
    """What the steps have made.

    Args:
        root: where the places of the image are.
        context: the folder that it is built in.
    """

    root: Path
    context: Path
    environment: dict[str, str] = field(
        default_factory=lambda: {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    )
    folder: str = "/"

    def here(self, text: str) -> str:
        """Give a text with the image's places as they are here."""
        return re.sub(rf"(?<![\w/.-])({'|'.join(PLACES)})", rf"{self.root}\1", text)

    def carry_out(self) -> None:
        for name, rest in instructions():
            getattr(self, f"step_{name.lower()}")(rest)

    def step_from(self, rest: str) -> None:
        assert re.fullmatch(r"python:3\.\d+-slim( AS install)?", rest)
        self.environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}

    def step_copy(self, rest: str) -> None:
        first, *others, to = rest.split(" ")
        if first.startswith("--from="):  # an environment works where it was made, so it must keep its place
            assert others == [to]
            assert Path(self.here(to)).is_dir()
            return
        for pattern in (first, *others):
            for found in self.context.glob(pattern):
                shutil.copy(found, self.here(to))

    def step_run(self, rest: str) -> None:
        if rest.startswith("groupadd "):
            user = last("USER").split(":")
            assert f"groupadd --gid {user[1]} keyturn" in rest
            assert f"useradd --uid {user[0]} --gid {user[1]}" in rest
            return
        command = self.here(rest)
        if not _ROOT:
            command = re.sub(r"--(owner|group) \d+ ", "", command)
        settings = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        done = subprocess.run(
            ["/bin/sh", "-c", command], cwd=self.root, env={**settings, **self.environment}, capture_output=True,
            text=True, stdin=subprocess.DEVNULL, timeout=300, check=False,
        )  # fmt: skip
        if done.returncode and UNREACHABLE.search(done.stderr) and os.environ.get("CI") != "true":
            pytest.skip(
                "needs a package index once: run it with a network, or with PIP_FIND_LINKS naming a folder of wheels"
            )
        assert done.returncode == 0, done.stderr

    def step_env(self, rest: str) -> None:
        self.environment |= dict(pair.split("=", 1) for pair in shlex.split(self.here(rest)))

    def step_workdir(self, rest: str) -> None:
        self.folder = self.here(rest)

    def _only_said(self, rest: str) -> None:
        """Stand for what is told to the engine."""

    step_user = step_volume = step_expose = step_stopsignal = step_healthcheck = step_cmd = _only_said

    def command(self, arguments: list[str], *, first: bool = False) -> list[str]:
        """Give a command as the image's user, who has no rights; the `first` one is process 1 of its own."""
        if not _ROOT:
            return arguments
        user, group = last("USER").split(":")
        rights = ["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
        alone = [find_program("unshare"), "--pid", "--fork", "--kill-child"] if first else []
        return [
            *alone,
            find_program("setpriv"),
            "--reuid",
            user,
            "--regid",
            group,
            "--clear-groups",
            *rights,
            *arguments,
        ]

    def found(self, arguments: list[str]) -> list[str]:
        """Give a command with its program's place, which the image's PATH decides."""
        place = shutil.which(arguments[0], path=self.environment["PATH"])
        assert place is not None
        assert place.startswith(str(self.root))
        return [place, *arguments[1:]]

    def run(self, *arguments: str, given: str = "", **more: str) -> "subprocess.CompletedProcess[str]":
        """Run a command in the container, as `podman exec` does."""
        return subprocess.run(
            self.command(self.found(list(arguments))), cwd=self.folder, env={**self.environment, **more}, input=given,
            capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    root = Path(tempfile.mkdtemp(prefix="keyturn-image-"))
    root.chmod(0o755)
    context = root / "context"
    for folder in (context / "dist", root / "opt", root / "var/lib", root / "tmp"):
        folder.mkdir(parents=True)
    build = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "-q", "--no-deps"]
    subprocess.run([*build, "--no-build-isolation", "--wheel-dir", str(context / "dist"), str(ROOT)], check=True)
    shutil.copy(ROOT / "constraints.txt", context)
    made = Image(root, context)
    made.carry_out()
    yield made
    shutil.rmtree(root)


def started(image: Image, **options: str) -> Served:
    """Run the image's command on the loopback interface, with nothing in its environment but the image's and `options`."""
    command = image.command(image.found(json.loads(last("CMD"))), first=True)
    environment = {**image.environment, "KEYTURN_SERVER__HOST": "127.0.0.1", **options}
    process = subprocess.Popen(
        command, cwd=image.folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    server = Served(Path(image.folder), process)
    server.listen_to()
    server.wait_until_ready()
    return server


def first_process(server: Served) -> int:
    """Give the process that is number 1 in the container."""
    pid = server.process.pid
    if not _ROOT:
        return pid
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


def stopped(server: Served) -> int:
    """Stop it as an engine does: its signal to process 1, and ten seconds."""
    os.kill(first_process(server), signal.Signals[last("STOPSIGNAL")])
    return server.process.wait(10)


def health(image: Image, port: int) -> int:
    options, _, check = last("HEALTHCHECK").partition(" CMD ")
    assert re.findall(r"--(\w[\w-]*)=", options) == ["interval", "timeout", "start-period"]
    return image.run(*json.loads(check), KEYTURN_SERVER__PORT=str(port)).returncode


def test_the_command_of_the_image_serves_as_process_1_and_stops_in_order(image):
    port = free_ports(1)[0]
    options = {
        "KEYTURN_ISSUER": "https://id.example.org", "KEYTURN_SERVER__TRUSTED_PROXIES": "10.0.0.0/8",
        "KEYTURN_SERVER__PORT": str(port),
    }  # fmt: skip
    assert health(image, port) != 0, "nobody is there yet"
    server = started(image, **options)
    try:
        assert "Mind" not in server.output
        assert health(image, port) == 0
        made = image.run("keyturn", "users", "create", "ada", given=PASSWORD + "\n", **options)
        assert made.returncode == 0, made.stderr
        tokens: Any = server.sign_in("ada", PASSWORD)
        status = dict(re.findall(r"(\w+):\t(.*)", Path(f"/proc/{first_process(server)}/status").read_text()))
        if _ROOT:
            assert status["NSpid"].split()[-1] == "1"
            assert status["Uid"].split() == [last("USER").partition(":")[0]] * 4
            assert int(status["CapEff"], 16) == 0
        assert stopped(server) == 0
    finally:
        server.process.kill()
    assert "Traceback" not in server.output
    assert health(image, port) != 0
    again = started(image, **options)
    try:
        answer = again.call("POST", "/auth/refresh", {"refresh_token": tokens["refresh_token"]})
        assert answer.status == 200, "keys and sessions are on the volume"
        assert stopped(again) == 0
    finally:
        again.process.kill()


def test_everything_that_is_kept_is_on_the_volume_and_its_owners_alone(image):
    (volume,) = json.loads(last("VOLUME"))
    assert last("WORKDIR") == volume
    place = Path(image.here(volume))
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    kept = [path for path in place.rglob("*") if path.is_file()]
    assert {path.suffix for path in kept} >= {".json", ".db"}
    assert [path for path in kept if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)] == []


def test_the_image_has_neither_pip_nor_a_compiler_nor_tests(image):
    names = {path.name.lower() for path in (image.root / "opt/keyturn").rglob("site-packages/*")}
    assert {"keyturn", "uvicorn", "asyncpg", "psycopg", "argon2"} <= names
    assert names.isdisjoint({"pip", "pytest", "hatchling", "httpx", "mypy"})


def test_the_port_that_is_exposed_is_the_one_that_is_served(image):
    assert image.environment["KEYTURN_SERVER__PORT"] == last("EXPOSE")
    assert image.environment["KEYTURN_SERVER__HOST"] == "0.0.0.0"
