"""deploy/keyturn.service: systemd understands it, and its command line works under what the unit imposes."""

import ctypes
import os
import pwd
import re
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from keyturn.server.config import load
from tests.support.nginx import free_ports
from tests.support.programs import find_program
from tests.support.serve_process import PATIENCE, Served

FILE = Path(__file__).parents[2] / "deploy/keyturn.service"
KEYTURN = Path(sys.executable).with_name("keyturn")
PASSWORD = "correct horse battery"
#: prctl(2): no memory becomes executable that was writable, which is what MemoryDenyWriteExecute= asks for.
PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1
_ROOT = os.geteuid() == 0
#: Who has no rights here. Workers are programs of their own: he must be able to reach the interpreter, too.
NOBODY = "nobody" if _ROOT else ""
_REACHED = all(above.stat().st_mode & stat.S_IXOTH for above in Path(sys.executable).resolve().parents)


def unit(text: str | None = None) -> dict[str, str]:
    """Give the unit's settings by their names; none of them stands twice."""
    lines = [line for line in (text or FILE.read_text()).splitlines() if "=" in line and not line.startswith("#")]
    pairs = [line.partition("=")[::2] for line in lines]
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def seconds(text: str) -> int:
    return int(re.fullmatch(r"(\d+)s", text)[1])


def installed_here(text: str) -> str:
    """Give the unit with the program where it is here."""
    assert "/opt/keyturn/bin/keyturn" in text
    return text.replace("/opt/keyturn/bin/keyturn", str(KEYTURN))


def two_servers(text: str) -> str:
    """Give the unit as docs/how-to/deploy.md makes one for several servers of it."""
    assert text.count("keyturn serve") == 1
    return text.replace("keyturn serve", "keyturn serve --port %i")


@pytest.mark.parametrize("name", ["keyturn.service", "keyturn@8000.service"])
def test_systemd_understands_the_unit(name, tmp_path):
    text = installed_here(FILE.read_text())
    (tmp_path / name).write_text(two_servers(text) if "@" in name else text)
    verify = [find_program("systemd-analyze"), "verify", str(tmp_path / name)]
    done = subprocess.run(verify, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_systemd_calls_what_the_unit_leaves_open_little():
    judge = [find_program("systemd-analyze"), "security", "--offline=true", "--threshold=20", "--no-pager", str(FILE)]
    done = subprocess.run(judge, capture_output=True, text=True, timeout=PATIENCE, check=False)
    if "unrecognized option" in done.stderr:
        pytest.skip("needs systemd 250 or newer")
    assert done.returncode == 0, done.stdout


def test_a_stop_has_more_time_than_requests_under_way_have(tmp_path):
    assert seconds(unit()["TimeoutStopSec"]) > load(environment={}, here=tmp_path).grace_seconds + 5


def test_what_is_written_is_written_where_the_unit_allows_it():
    said = unit()
    place = Path("/var/lib") / said["StateDirectory"]
    assert said["ProtectSystem"] == "strict"
    assert said["WorkingDirectory"] == str(place)
    assert f"--config {place}/keyturn.toml" in said["ExecStart"]


# --- systemd-less ----------------------------------------------------------------------------------------------------


@pytest.fixture
def state() -> Iterator[Path]:
    """A folder like /var/lib/keyturn: of a user without rights, where root starts the tests."""
    above = Path(tempfile.mkdtemp(prefix="keyturn-unit-"))
    above.chmod(0o755)
    folder = above / "keyturn"
    folder.mkdir(mode=int(unit()["StateDirectoryMode"], 8))
    if NOBODY:
        shutil.chown(folder, NOBODY)
    yield folder
    shutil.rmtree(above)


def imposed() -> None:
    """Impose on this process what systemd would."""
    said = unit()
    os.umask(int(said["UMask"], 8))
    resource.setrlimit(resource.RLIMIT_CORE, (int(said["LimitCORE"]),) * 2)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = int(said["LimitNOFILE"])
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if most == resource.RLIM_INFINITY else min(wanted, most),) * 2)
    if said["MemoryDenyWriteExecute"] == "yes":
        ctypes.CDLL(None).prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0)  # kernels before 6.3 know nothing of it


def as_user(command: list[str], user: str = NOBODY) -> list[str]:
    """Give a command as a user who has no rights but those of his files; root without rights is such a one."""
    if not _ROOT:
        return command
    who = ["--reuid", user, "--regid", "nogroup", "--clear-groups"] if user else []
    rights = ["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
    return [find_program("setpriv"), *who, *rights, *command]


def environment(of_file: Mapping[str, str]) -> dict[str, str]:
    """Give what a unit's process gets: a path, and what is in the unit's file."""
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "LANG": "C.UTF-8", **of_file}


def command_of(state: Path, text: str | None = None, user: str = NOBODY) -> list[str]:
    command = unit(installed_here(text or FILE.read_text()))["ExecStart"]
    return as_user(command.replace("/var/lib/keyturn", str(state)).split(" "), user)


def keyturn(state: Path, *arguments: str, given: str = "", of_file: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        as_user([str(KEYTURN), *arguments]), cwd=state, env=environment(of_file or {}), input=given, text=True,
        capture_output=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def as_the_unit_says(state: Path, command: list[str], of_file: Mapping[str, str]) -> Iterator[Served]:
    process = subprocess.Popen(
        command, cwd=state, env=environment(of_file), preexec_fn=imposed, stdin=subprocess.DEVNULL,  # noqa: PLW1509
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    server = Served(state, process)
    server.listen_to()
    try:
        server.wait_until_ready()
        yield server
    finally:
        server.stop()


def status_of(pid: int) -> dict[str, str]:
    return dict(re.findall(r"(\w+):\t(.*)", Path(f"/proc/{pid}/status").read_text()))


@pytest.mark.parametrize(("workers", "user"), [("1", NOBODY), ("2", NOBODY if _REACHED else "")])
def test_the_command_line_of_the_unit_runs_as_a_user_without_rights(state, workers, user):
    said = unit()
    config = str(state / "keyturn.toml")
    keyturn(state, "init", str(state), "--issuer", "https://id.example.org", "--trusted-proxy", "127.0.0.1")
    keyturn(state, "users", "create", "ada", "--config", config, given=PASSWORD + "\n")
    if not user:  # everything is his who starts the tests
        for path in (state, *state.rglob("*")):
            os.chown(path, os.getuid(), os.getgid())
    of_file = {"KEYTURN_SERVER__PORT": str(free_ports(1)[0]), "KEYTURN_SERVER__WORKERS": workers}
    with as_the_unit_says(state, command_of(state, user=user), of_file) as server:
        tokens = server.sign_in("ada", PASSWORD)
        for pid in {server.process.pid, *server.workers}:
            status = status_of(pid)
            assert status["Umask"] == said["UMask"]
            if user:
                assert status["Uid"].split() == [str(pwd.getpwnam(user).pw_uid)] * 4
            if _ROOT:
                assert (status["NoNewPrivs"], int(status["CapBnd"], 16), int(status["CapEff"], 16)) == ("1", 0, 0)
            limits = Path(f"/proc/{pid}/limits").read_text()
            assert re.search(r"Max core file size\s+0\s", limits)
        assert server.stop(signal.Signals[said["KillSignal"]]) == 0
        assert "Traceback" not in server.output
    loose = [path for path in state.rglob("*") if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)]
    assert loose == []
    with as_the_unit_says(state, command_of(state, user=user), of_file) as again:
        held = {"refresh_token": tokens["refresh_token"]}
        assert again.call("POST", "/auth/refresh", held).status == 200


def test_a_password_comes_from_the_units_file_and_two_servers_share_a_database(state, postgresql):
    of_file = {"KEYTURN_SERVER__STORE": postgresql.new_database()}
    kept = ("--store", "postgresql://keyturn@127.0.0.1/keyturn")
    keyturn(state, "init", str(state), "--issuer", "https://id.example.org", "--trusted-proxy", "127.0.0.1", *kept)
    config = ("--config", str(state / "keyturn.toml"))
    first, second = free_ports(2)
    text = two_servers(FILE.read_text())
    servers = [
        as_the_unit_says(state, command_of(state, text.replace("%i", str(port))), of_file) for port in (first, second)
    ]
    keyturn(state, "users", "create", "ada", *config, given=PASSWORD + "\n", of_file=of_file)
    with servers[0] as one, servers[1] as two:
        tokens = one.sign_in("ada", PASSWORD)
        assert two.call("POST", "/auth/refresh", {"refresh_token": tokens["refresh_token"]}).status == 200
    assert sorted(path.name for path in state.iterdir()) == ["keys", "keyturn.toml"]


def test_without_a_configuration_the_unit_says_so_and_does_not_start(state):
    done = subprocess.run(
        command_of(state), cwd=state, env=environment({}), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 1
    assert "keyturn.toml" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(state.iterdir()) == []
