"""What users install: the wheel, in an environment that has nothing else, away from the tree."""

import json
import os
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.test_project import FRAMEWORKS_AND_DRIVERS, ROOT

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
# What pip says where it reaches no index at all.
UNREACHABLE = re.compile(
    r"NewConnectionError|ConnectTimeoutError|Temporary failure in name resolution|ProxyError|Network is unreachable"
)
PATIENCE = 300
LOADED = """
import json, sys, time
before, began = set(sys.modules), time.perf_counter()
import keyturn
took = time.perf_counter() - began
print(json.dumps({"loaded": sorted(set(sys.modules) - before), "ms": took * 1000, "from": keyturn.__file__}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel as `pip wheel` does, with the build back end that is here."""
    folder = tmp_path_factory.mktemp("wheel")
    done = run(
        [*PIP, "wheel", "-q", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)], folder
    )
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("keyturn-*.whl")
    return built


@pytest.fixture(scope="module")
def away(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel, its extra `server`, and nothing else."""
    folder = tmp_path_factory.mktemp("away")
    venv.create(folder, with_pip=False, symlinks=True)
    asked = ["--constraint", str(ROOT / "constraints.txt"), f"keyturn[server] @ {wheel.as_uri()}"]
    done = run([*PIP, "--python", str(folder), "install", "-q", *asked], folder)
    if done.returncode and UNREACHABLE.search(done.stderr) and os.environ.get("CI") != "true":
        pytest.skip(
            "needs a package index once: run it with a network, or with PIP_FIND_LINKS naming a folder of wheels"
        )
    assert done.returncode == 0, done.stderr
    return folder


def run(command: list[str], folder: Path) -> "subprocess.CompletedProcess[str]":
    # Nothing of the tree may be found by accident.
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, encoding="utf-8", timeout=PATIENCE, check=False,
        stdin=subprocess.DEVNULL, env={**environment, "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip


def test_the_wheel_brings_the_browser_client_and_serves_it_out_of_the_zip_too(wheel: Path, tmp_path: Path) -> None:
    program = f"import sys; sys.path.insert(0, {str(wheel)!r}); import keyturn; print(keyturn.__file__)"
    program += "; from keyturn._client_files import shipped; print(len(shipped().plain.body))"
    done = run([sys.executable, "-c", program], tmp_path)
    assert done.returncode == 0, done.stderr
    place, length = done.stdout.splitlines()
    assert place.startswith(str(wheel))
    assert int(length) == (ROOT / "src/keyturn/client/client.js").stat().st_size


def test_the_wheel_holds_the_browser_client_with_its_types_and_its_package(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    kept = [path for path in (ROOT / "src" / "keyturn" / "client").iterdir() if path.suffix in {".js", ".ts", ".json"}]
    assert {"client.js", "client.d.ts", "package.json"} <= {path.name for path in kept}
    assert {f"keyturn/client/{path.name}" for path in kept} <= names


def test_the_wheel_holds_the_page_of_the_demonstration(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    kept = [path.name for path in (ROOT / "src" / "keyturn" / "server" / "page").iterdir() if path.is_file()]
    assert "index.html" in kept
    assert {f"keyturn/server/page/{name}" for name in kept} <= names


def test_the_installed_wheel_tells_the_story(away: Path) -> None:
    done = run([str(away / "bin" / "keyturn"), "demo"], away)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Everything went as told." in done.stdout


def test_the_installed_wheel_loads_no_framework_and_no_driver(away: Path) -> None:
    # The second time, as all but the first: Python has compiled it.
    first, second = (json.loads(run([str(away / "bin" / "python"), "-c", LOADED], away).stdout) for _ in range(2))
    assert Path(second["from"]).is_relative_to(away)
    assert FRAMEWORKS_AND_DRIVERS.intersection(name.partition(".")[0] for name in second["loaded"]) == set()
    print(f"\nimport keyturn: {second['ms']:.0f} ms ({first['ms']:.0f} ms the first time)")  # noqa: T201  # a number to look at, not to judge by


def test_nothing_is_installed_besides_what_the_extra_names(away: Path) -> None:
    done = run([*PIP, "--python", str(away), "list", "--format", "json"], away)
    installed = {row["name"].lower() for row in json.loads(done.stdout)}
    assert {"keyturn", "cryptography", "msgspec", "starlette", "uvicorn", "click", "rich"} <= installed
    assert installed.isdisjoint({"fastapi", "pydantic", "pytest", "httpx", "hypothesis"})


def test_the_installed_wheel_needs_nothing_that_it_does_not_ask_for(away: Path) -> None:
    done = run([*PIP, "--python", str(away), "check"], away)
    assert done.returncode == 0, done.stdout
