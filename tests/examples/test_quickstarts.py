"""The quickstarts work as they stand: served from an empty folder, called by the curl lines."""

import ast
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.uvicorn_process import EXAMPLES, served_example

QUICKSTARTS = ["quickstart_fastapi", "quickstart_starlette", "quickstart_flask"]


@pytest.fixture(params=QUICKSTARTS)
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where the quickstart listens, on the name that the curl lines use."""
    with served_example(request.param, tmp_path) as address:
        yield address.replace("127.0.0.1", "localhost")


def test_the_curl_lines_work_as_pasted(address: str, need: Callable[[str], str]) -> None:
    need("curl")
    done = subprocess.run(
        ["sh", EXAMPLES / "curl.sh", address], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    me, me_with_cookie, sessions, signed_out, after = filter(None, done.stdout.splitlines())
    assert json.loads(me) == json.loads(me_with_cookie) == {"subject": "user-1"}
    assert [session["current"] for session in json.loads(sessions)["sessions"]] == [False, True]
    assert (signed_out, after) == ("204", "401")


def test_the_curl_script_leaves_nothing_behind(address: str, need: Callable[[str], str], tmp_path: Path) -> None:
    need("curl")
    jars = tmp_path / "jars"
    jars.mkdir()
    environment = {**os.environ, "TMPDIR": str(jars)}
    subprocess.run(["sh", EXAMPLES / "curl.sh", address], capture_output=True, timeout=60, check=True, env=environment)
    assert list(jars.iterdir()) == []


@pytest.mark.parametrize(("user", "status"), [("ada:lovelace", "200"), ("ada:byron", "401"), ("eve:lovelace", "401")])
def test_only_the_right_password_signs_in(address: str, need: Callable[[str], str], user: str, status: str) -> None:
    answer = ["-s", "-X", "POST", "-u", user, "-o", os.devnull, "-w", "%{http_code}", f"{address}/auth/login"]
    done = subprocess.run([need("curl"), *answer], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == status


def test_the_fastapi_quickstart_documents_its_route_and_ours(tmp_path: Path, need: Callable[[str], str]) -> None:
    with served_example("quickstart_fastapi", tmp_path) as address:
        fetch = [need("curl"), "-sSf", f"{address}/openapi.json"]
        done = subprocess.run(fetch, capture_output=True, text=True, timeout=60, check=True)
    schema = json.loads(done.stdout)
    assert {"/me", "/auth/login", "/auth/refresh", "/auth/logout"} <= set(schema["paths"])
    assert schema["paths"]["/me"]["get"]["security"] == [{"Keyturn": []}]


def test_the_fastapi_quickstart_is_fifteen_lines_besides_its_imports() -> None:
    source = (EXAMPLES / "quickstart_fastapi.py").read_text()
    assert len(list(lines_of_code(source))) <= 15


def lines_of_code(source: str) -> Iterator[str]:
    """Give the lines that are neither empty nor comment, docstring or import."""
    imports = {
        line
        for node in ast.parse(source).body
        if isinstance(node, ast.Import | ast.ImportFrom | ast.Expr)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    for number, line in enumerate(source.splitlines(), 1):
        if number not in imports and line.strip() and not line.lstrip().startswith("#"):
            yield line
