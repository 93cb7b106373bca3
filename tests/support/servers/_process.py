"""A server's process and its folder: both go when the tests go, however those end."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

PATIENCE = 30.0  # seconds; a start takes a fraction of one
PREFIX = "keyturn-tests-"
NOBODY = "nobody"

# The kernel's "die with your parent" means the thread that started the child: a test may start a server in a thread
# that ends. This one lives as long as the tests do.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="starter of servers")
_folder_lock = threading.Lock()
_folder_of_this_run: Path | None = None


def run_folder() -> Path:
    """Give the folder of this run of the tests, in memory where the machine has such a place."""
    global _folder_of_this_run  # noqa: PLW0603 - one folder for a run
    with _folder_lock:
        if _folder_of_this_run is None:
            root = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else Path(tempfile.gettempdir())
            _sweep(root)
            _folder_of_this_run = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=root))
            _folder_of_this_run.chmod(0o755)  # a server that runs as another user must get through
        return _folder_of_this_run


def remove_run_folder() -> None:
    """Remove what this run of the tests left."""
    global _folder_of_this_run  # noqa: PLW0603
    if _folder_of_this_run is not None:
        shutil.rmtree(_folder_of_this_run, ignore_errors=True)
        _folder_of_this_run = None


def _sweep(root: Path) -> None:
    """Remove the folders of runs that were killed."""
    for folder in root.glob(f"{PREFIX}*"):
        owner = folder.name.removeprefix(PREFIX).partition("-")[0]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists() and Path("/proc/self").exists():
            shutil.rmtree(folder, ignore_errors=True)


def new_folder(name: str) -> Path:
    """Give a new folder in that of this run."""
    return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=run_folder()))


class Account:
    """Who a server runs as: an unprivileged user where the tests run as root, else who runs the tests.

    Args:
        name: the user that the server's package made.
    """

    def __init__(self, name: str) -> None:
        self.user = _existing(name) if os.geteuid() == 0 else None

    def own(self, *folders: Path) -> None:
        """Make a folder and all in it that user's."""
        if self.user is None:
            return
        for folder in folders:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, self.user.pw_uid, self.user.pw_gid)

    def command(self, *, lasting: bool, arguments: Sequence[str]) -> list[str]:
        """Give the command as that user; one that lasts is killed with the process that started it."""
        setpriv = shutil.which("setpriv")
        if setpriv is None:  # not on every system; the fixture's end still stops the server
            assert self.user is None, "root needs setpriv (util-linux) to start a server as somebody else"
            return list(arguments)
        options = ["--pdeathsig", "KILL"] if lasting else []
        if self.user is not None:
            options += ["--reuid", str(self.user.pw_uid), "--regid", str(self.user.pw_gid), "--clear-groups"]
        return [setpriv, *options, "--", *arguments]

    def run(self, *arguments: str) -> None:
        """Run a program to its end."""
        done = subprocess.run(
            self.command(lasting=False, arguments=arguments), cwd="/", capture_output=True, text=True,
            timeout=PATIENCE, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, f"{arguments[0]} failed:\n{done.stdout}{done.stderr}"

    def start(self, arguments: Sequence[str], output: IO[bytes]) -> "subprocess.Popen[bytes]":
        """Start a program that lasts."""
        command = self.command(lasting=True, arguments=arguments)
        return _starter.submit(
            subprocess.Popen, command, cwd="/", stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,  # Ctrl-C is for the tests, which stop their servers in order
        ).result()  # fmt: skip


def _existing(name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return pwd.getpwnam(NOBODY)


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
    return port


def end(process: "subprocess.Popen[bytes]", by: signal.Signals) -> None:
    """Signal a process and wait for its end, with violence in the end."""
    if process.poll() is None:
        process.send_signal(by)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(PATIENCE)


def wait_until(is_ready: Callable[[], bool], is_over: Callable[[], bool]) -> bool:
    """Ask every few milliseconds until it is ready (True) or over (False)."""
    patience = time.monotonic() + PATIENCE
    while not is_ready():
        if is_over() or time.monotonic() > patience:
            return False
        time.sleep(0.01)
    return True
