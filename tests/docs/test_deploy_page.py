"""What docs/how-to/deploy.md tells people to type, typed: in a folder that stands for the machine."""

import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scripts import pages
from tests.support.nginx import free_ports
from tests.support.programs import find_program
from tests.support.serve_process import PATIENCE, Served

PAGE = pages.ROOT / "docs/how-to/deploy.md"
TEXT = PAGE.read_text()
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))
PASSWORD = "correct horse battery"
#: What would change this machine, or fetch something: the container's test and the wheel's install by themselves.
NOT_HERE = ("useradd ", "python3 -m venv ", "/opt/keyturn-0.1.0/bin/pip ", "/opt/keyturn-0.2.0/bin/pip ")
PLACES = re.compile(
    r"(?<![\w/.-])/(?:opt/keyturn|var/lib/keyturn|var/backups|usr/local/sbin/keyturn|etc/(?:keyturn|systemd))"
)
_ROOT = os.geteuid() == 0


def commands(section: str) -> list[str]:
    """Give what a section has root type."""
    shown = "".join(re.findall(r"^```console\n(.*?)^```$", SECTIONS[section], re.MULTILINE | re.DOTALL))
    return [line[2:] for line in shown.splitlines() if line.startswith("# ")]


class Machine:
    """A folder that stands for the machine: its user is nobody, and systemctl only takes down what it was told."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for place in ("opt", "var/lib", "var/backups", "usr/local/sbin", "etc/systemd/system"):
            (root / place).mkdir(parents=True)
        (root / "opt/keyturn-0.1.0").symlink_to(Path(sys.executable).parents[1])
        script = root / "deploy"
        shutil.copytree(pages.ROOT / "deploy", script)
        (script / "keyturn.sh").write_text(self.here((script / "keyturn.sh").read_text()))

    def here(self, text: str) -> str:
        text = PLACES.sub(lambda place: f"{self.root}{place[0]}", text)
        if _ROOT:
            text = text.replace("--reuid keyturn --regid keyturn", "--reuid nobody --regid nogroup")
            return text.replace("-o keyturn -g keyturn", "-o nobody -g nogroup")
        text = text.replace("exec setpriv --reuid keyturn --regid keyturn --clear-groups", "exec")
        return text.replace("-o keyturn -g keyturn ", "")

    @property
    def home(self) -> Path:
        return self.root / "var/lib/keyturn"

    def typed(self, *lines: str, given: str = "") -> str:
        """Run commands one after the other; none of them may fail."""
        told = f'systemctl() {{ echo "$*" >> {self.root}/systemctl; }}\n'
        kept = [line for line in lines if not line.startswith(NOT_HERE)]
        done = subprocess.run(
            ["sh", "-euc", told + self.here("\n".join(kept))], cwd=self.root, input=given, capture_output=True,
            text=True, timeout=PATIENCE, check=False,
            env={"PATH": f"{self.root}/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    @property
    def told_to_systemd(self) -> list[str]:
        return (self.root / "systemctl").read_text().splitlines()

    @contextmanager
    def serving(self) -> Iterator[Served]:
        """Serve as the script does it, which is as the unit does it."""
        command = [str(self.root / "usr/local/sbin/keyturn"), "serve", "--port", str(free_ports(1)[0])]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            env={"PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        server = Served(self.home, process)
        server.listen_to()
        try:
            server.wait_until_ready()
            yield server
        finally:
            assert server.stop() == 0


@pytest.fixture
def machine() -> Iterator[Machine]:
    for program in ("setpriv", "curl"):
        find_program(program)
    root = Path(tempfile.mkdtemp(prefix="keyturn-machine-"))
    root.chmod(0o755)
    made = Machine(root)
    made.typed(*commands("First start"), given=PASSWORD + "\n")
    yield made
    shutil.rmtree(root)


def refreshed(server: Served, tokens: dict[str, str]) -> int:
    """Refresh once; the tokens are changed in place."""
    answer = server.call("POST", "/auth/refresh", {"refresh_token": tokens["refresh_token"]})
    if answer.status == 200:
        tokens.update(answer.body)
    return answer.status


def test_the_first_start_leaves_everything_in_the_servers_hands_alone(machine):
    assert machine.told_to_systemd == ["enable --now keyturn"]
    unit = machine.root / "etc/systemd/system/keyturn.service"
    assert unit.read_text() == (pages.ROOT / "deploy/keyturn.service").read_text()
    found = [machine.home, *machine.home.rglob("*")]
    assert {path.owner() for path in found} == {"nobody" if _ROOT else Path.home().owner()}
    assert [path for path in found if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)] == []
    found = machine.typed("keyturn doctor")
    assert "0 broken, 1 weak" in found
    assert "https://id.example.org, a name that stands for nobody" in found, "which is the page's alone"
    with machine.serving() as server:
        assert "Mind" not in server.output
        assert server.sign_in("ada", PASSWORD)["scope"] == "admin"


def test_a_copy_that_is_put_back_is_what_the_page_says(machine):
    backup, restore = commands("Backup")[:5], commands("Backup")[5:]
    with machine.serving() as server:
        going_on, ended = (server.sign_in("ada", PASSWORD) for _ in range(2))
        machine.typed(*backup)
        assert [refreshed(server, going_on) for _ in range(3)] == [200] * 3
        assert server.call("POST", "/auth/logout", token=ended["access_token"]).status == 204
        later = server.sign_in("ada", PASSWORD)
    machine.typed(*restore)
    with machine.serving() as server:
        assert refreshed(server, going_on) == 200
        assert refreshed(server, later) == 401, "who signed in since then signs in again"
        assert refreshed(server, ended) == 200, "what ended since then lives again"
        machine.typed("keyturn sessions end-all --yes")
        assert refreshed(server, ended) == 401
    assert '"message": "StoreWentBack"' in server.output
    kept = machine.root / "var/backups/keyturn"
    assert [path for path in kept.rglob("*") if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)] == []


def test_two_servers_are_made_and_restarted_in_turn(machine):
    *make, again = commands("Restart without a refused request")
    machine.typed(*make)
    unit = (machine.root / "etc/systemd/system/keyturn@.service").read_text()
    assert "/opt/keyturn/bin/keyturn serve --port %i --config /var/lib/keyturn/keyturn.toml\n" in unit
    with machine.serving() as server:
        machine.typed(again.replace("8000 8001", f"{server.port} {server.port}"))
    assert machine.told_to_systemd[1:] == [
        "disable --now keyturn", "enable --now keyturn@8000 keyturn@8001", *[f"restart keyturn@{server.port}"] * 2
    ]  # fmt: skip


def test_an_upgrade_changes_the_link_and_nothing_else(machine):
    before = {path.name: path.stat().st_mtime_ns for path in machine.home.iterdir()}
    (machine.root / "opt/keyturn-0.2.0").symlink_to(Path(sys.executable).parents[1])
    machine.typed(*commands("Upgrade, and back"))
    assert (machine.root / "opt/keyturn").readlink() == Path("keyturn-0.2.0")
    assert {path.name: path.stat().st_mtime_ns for path in machine.home.iterdir()} == before
    machine.typed("keyturn --version")


def test_what_is_to_be_typed_in_an_emergency_works(machine):
    section = SECTIONS["In an emergency"]
    shown = re.findall(r"`(keyturn [^`]+)`", section)
    assert shown == [
        "keyturn users suspend ada", "keyturn users set-password ada", "keyturn users activate ada",
        "keyturn sessions end-all --yes", "keyturn keys list", "keyturn keys remove ID --yes", "keyturn keys generate",
        "keyturn sessions end-all --yes", "keyturn clients remove ID",
    ]  # fmt: skip
    with machine.serving() as server:
        tokens = server.sign_in("ada", PASSWORD)
        machine.typed(*commands("Keys"))
        keys = machine.typed(shown[4]).splitlines()
        (signing,) = [row.split()[0] for row in keys if " access " in row and " current " in row]
        machine.typed(shown[5].replace("ID", signing))
        assert refreshed(server, tokens) == 200, "clients refresh and go on"
        machine.typed(shown[0])
        assert refreshed(server, tokens) == 401
        machine.typed(shown[1], given="another horse battery\n")
        machine.typed(shown[2])
        tokens = server.sign_in("ada", "another horse battery")
        machine.typed(shown[3])
        assert refreshed(server, tokens) == 401
        machine.typed("keyturn clients add shop-api")
        machine.typed(shown[8].replace("ID", "shop-api"))
