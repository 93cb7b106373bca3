"""``keyturn serve`` as an operator meets it: the first start, what it says, and every way in which it will not start."""

import errno
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from importlib import import_module
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from keyturn.cli.serve import why_no_port
from keyturn.server.config import load
from keyturn.stores.sqlalchemy.migrations._opening import address
from keyturn.stores.sqlalchemy.migrations._running import VERSION_TABLE
from tests.support.serve_process import environment, keyturn_command, run_keyturn, served, start
from tests.support.tcp_proxy import TcpProxy

USERS = {"ada": "correct horse battery"}


def refused(folder: Path, *arguments: str, **more: str) -> str:
    """Start a server that will not start; give what it says."""
    port = () if "--port" in arguments else ("--port", "0")
    done = run_keyturn(folder, "serve", *arguments, *port, more=more)
    assert done.returncode == 1, done
    assert "Traceback" not in done.stderr
    assert "listens at" not in done.stderr
    assert done.stdout == ""
    return done.stderr


# --- the first start -------------------------------------------------------------------------------------------------


def test_a_first_start_without_anything_makes_everything_and_says_what_is_where(tmp_path):
    with served(tmp_path) as server:
        home = tmp_path / ".keyturn"
        for said in (
            f"listens at {server.address} with 1 worker",
            f"issuer    {server.address}",
            f"POST {server.address}/auth/login",
            f"{server.address}/auth/jwks.json, kept in {home / 'keys'}",
            f"{server.address}/health/ready",
            f"SQLite, {home / 'keyturn.db'}",
            "There are no users yet. In another terminal: keyturn users create NAME\n",
        ):
            assert said in server.output, said
        made = run_keyturn(tmp_path, "users", "create", "ada", given=USERS["ada"] + "\n")
        assert made.returncode == 0, made.stderr
        tokens = server.sign_in("ada", USERS["ada"])
        claims = server.call("GET", "/auth/session", token=tokens["access_token"]).body
        assert claims["iss"] == server.address
    assert {path.name for path in home.iterdir()} >= {"keyturn.db", "keys"}
    with served(tmp_path, "--port", str(server.port)) as again:
        assert "There are no users" not in again.output
        answer = again.call("POST", "/auth/refresh", {"refresh_token": tokens["refresh_token"]})
        assert answer.status == 200, "a restart signed somebody out"


def test_two_servers_started_at_once_on_nothing_share_one_installation(tmp_path):
    servers = [start(tmp_path, "--port", "0", "--workers", "2") for _ in range(2)]
    try:
        for server in servers:
            server.wait_until_ready()
        keys = [server.call("GET", "/auth/jwks.json").body for server in servers]
        assert keys[0] == keys[1]
        run_keyturn(tmp_path, "users", "create", "ada", given=USERS["ada"] + "\n")
        tokens = servers[0].sign_in("ada", USERS["ada"])
        answer = servers[1].call("POST", "/auth/refresh", {"refresh_token": tokens["refresh_token"]})
        assert answer.status == 200
    finally:
        codes = [server.stop() for server in servers]
    assert codes == [0, 0]


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_first_start_on_an_empty_database_makes_its_tables_and_serves(kind, tmp_path, request):
    store = {"KEYTURN_SERVER__STORE": request.getfixturevalue(kind).new_database()}
    with served(tmp_path, "--workers", "2", more=store) as server:
        assert "There are no users yet" in server.output
        made = run_keyturn(tmp_path, "users", "create", "ada", given=USERS["ada"] + "\n", more=store)
        assert made.returncode == 0, made.stderr
        tokens = server.sign_in("ada", USERS["ada"])
        for _ in range(3):
            answer = server.call("POST", "/auth/refresh", {"refresh_token": tokens["refresh_token"]})
            assert answer.status == 200
            tokens = answer.body
        claims = server.call("GET", "/auth/session", token=tokens["access_token"])
        assert claims.status == 200
        assert server.call("POST", "/auth/logout", {"refresh_token": tokens["refresh_token"]}).status == 204
        gone = server.call("POST", "/auth/refresh", {"refresh_token": tokens["refresh_token"]})
        assert gone.body["code"] == "session_ended"
    assert '"level": "error"' not in server.output, server.output


def test_workers_share_the_port_and_count_attempts_together(tmp_path):
    limits = {"KEYTURN_THROTTLE__LOGIN_PER_USER_AND_ADDRESS": "4/hour"}
    with served(tmp_path, "--workers", "2", users=USERS, more=limits) as server, ThreadPoolExecutor(6) as threads:
        wrong = {"username": "ada", "password": "wrong wrong wrong", "transport": "body"}
        asked = [threads.submit(server.call, "POST", "/auth/login", wrong) for _ in range(24)]
        statuses = [each.result().status for each in asked]
        assert sorted(set(statuses)) == [401, 429]
        assert statuses.count(401) == 4


def test_every_process_of_the_server_has_put_aside_what_lives_as_long_as_it(tmp_path):
    more = {"KEYTURN_SERVER__LOG_LEVEL": "debug"}
    with served(tmp_path, "--workers", "2", more=more) as server:
        deadline = time.monotonic() + 30
        while len(told := re.findall(r"worker (\d+) is ready, (\d+) objects frozen", server.output)) < 2:
            assert time.monotonic() < deadline, server.output
            time.sleep(0.05)
        assert {int(pid) for pid, _ in told} == set(server.workers)
        assert all(int(count) > 10_000 for _, count in told)


def test_options_stand_above_the_environment_and_the_file(tmp_path):
    (tmp_path / "keyturn.toml").write_text('[server]\nhost = "127.0.0.2"\nworkers = 2\n')
    with served(tmp_path, "--host", "127.0.0.1", more={"KEYTURN_SERVER__WORKERS": "1"}) as server:
        assert server.address.startswith("http://127.0.0.1:")
        assert "with 1 worker." in server.output
        assert str(tmp_path / "keyturn.toml") in server.output


def test_a_configuration_elsewhere_is_named_in_what_it_says(tmp_path):
    elsewhere = tmp_path / "etc" / "our.toml"
    elsewhere.parent.mkdir()
    elsewhere.write_text("")
    with served(tmp_path, "--config", str(elsewhere)) as server:
        assert f"keyturn users create NAME --config {elsewhere}" in server.output
    assert (elsewhere.parent / "keyturn.db").exists()
    assert not (tmp_path / ".keyturn").exists()


# --- what it minds ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text_of_file", "minded"),
    [
        ('[keyturn]\nissuer = "https://id.example.org"\n', "name it in trusted_proxies"),
        ('[server]\nhost = "0.0.0.0"\n', "which means this machine only"),
        ('[server]\nstore = "memory:"\n', "everybody is signed out"),
        ('[server]\ncounters = "memory:"\nworkers = 2\n', "counts attempts by itself"),
        ("", None),
        ('[keyturn]\nissuer = "https://id.example.org"\n[server]\ntrusted_proxies = ["127.0.0.1"]\n', None),
    ],
)
def test_what_works_otherwise_than_was_meant_is_said_at_the_start(text_of_file, minded, tmp_path):
    (tmp_path / "keyturn.toml").write_text(text_of_file)
    with served(tmp_path) as server:
        told = [line for line in server.output.splitlines() if line.startswith("Mind: ")]
        assert len(told) == (minded is not None)
        assert minded is None or minded in told[0]


# --- every way in which it will not start ----------------------------------------------------------------------------


def test_a_port_in_use_is_said_and_nothing_is_made(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        said = refused(tmp_path, "--port", port)
    assert f"Port {port} at 127.0.0.1 is in use by another program" in said
    assert list(tmp_path.iterdir()) == []


def test_an_address_of_another_machine_is_said(tmp_path):
    assert "is no address of this machine" in refused(
        tmp_path, "--host", "192.0.2.1", KEYTURN_ISSUER="https://a.example"
    )


def test_a_port_that_needs_rights_is_said():
    assert "needs more rights" in why_no_port("127.0.0.1", 80, PermissionError(13, "Permission denied"))
    assert "no address named nowhere" in why_no_port("nowhere", 80, socket.gaierror(-2, "?"))
    assert "Too many open files" in why_no_port("127.0.0.1", 80, OSError(24, "?"))


def test_mistyped_names_are_all_said_with_what_they_may_have_meant(tmp_path):
    (tmp_path / "keyturn.toml").write_text("[server]\nprot = 1\n[keyturn]\nleway = 3\n")
    said = refused(tmp_path, KEYTURN_SERVER__STOER="memory:")
    for fault in ("did you mean port?", "did you mean leeway?", "did you mean store?"):
        assert fault in said
    assert not (tmp_path / "keys").exists()


def test_a_file_that_is_not_there_is_said(tmp_path):
    assert "nowhere.toml" in refused(tmp_path, "--config", "nowhere.toml")


def test_wrong_usage_is_exit_code_2(tmp_path):
    for wrong in (["--workers", "0"], ["--port", "99999"], ["--nonsense"], ["extra"]):
        assert run_keyturn(tmp_path, "serve", *wrong).returncode == 2


def test_a_wrong_address_of_a_database_is_said(tmp_path):
    assert "no store is known for 'oracle'" in refused(tmp_path, KEYTURN_SERVER__STORE="oracle://db")


def test_a_database_that_is_not_there_is_waited_for_and_said_without_its_password(tmp_path, monkeypatch):
    url = "postgresql://keyturn:s3cret-word@127.0.0.1:1/keyturn"
    said = refused(tmp_path, KEYTURN_SERVER__STORE=url)
    assert said.startswith("Waiting for the database: ")
    assert said.count("Waiting") == 1
    assert "127.0.0.1:1/keyturn cannot be used" in said
    assert "s3cret-word" not in said


def test_a_database_that_comes_late_is_met(tmp_path, postgresql):
    # A wire that leads nowhere at first.
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    url = postgresql.new_database()
    store = re.sub(r":\d+/", f":{port}/", url)
    server = start(tmp_path, "--port", "0", more={"KEYTURN_SERVER__STORE": store})
    while "Waiting for the database" not in server.output:
        assert server.process.poll() is None, server.output
        time.sleep(0.05)
    with TcpProxy(int(address(url).port), port):
        try:
            server.wait_until_ready()
        finally:
            assert server.stop() == 0


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_database_of_a_newer_version_is_said(kind, tmp_path, request):
    store = f"sqlite:///{tmp_path}/k.db"
    if kind == "postgresql":
        store = request.getfixturevalue("postgresql").new_database()
    more = {"KEYTURN_SERVER__STORE": store}
    with served(tmp_path, more=more):
        pass
    if kind == "sqlite":
        with closing(sqlite3.connect(tmp_path / "k.db")) as opened:
            opened.execute("PRAGMA user_version = 99")
    else:
        engine = create_engine(address(store))
        with engine.begin() as connection:
            connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
        engine.dispose()
    said = refused(tmp_path, **more)
    assert "update" in said
    assert "99" in said


def test_workers_that_could_share_nothing_are_refused(tmp_path):
    said = refused(tmp_path, "--workers", "2", KEYTURN_SERVER__STORE="memory:")
    assert "2 workers cannot share" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.ids("KEY-08")
def test_a_key_that_others_may_read_is_said(tmp_path):
    with served(tmp_path):
        pass
    for path in (tmp_path / ".keyturn" / "keys").glob("*.json"):
        path.chmod(0o640)
    assert refused(tmp_path).count("chmod 600") == 2


def test_keys_lost_while_sessions_live_are_said_and_not_replaced(tmp_path):
    with served(tmp_path, users=USERS) as server:
        server.sign_in("ada", USERS["ada"])
    keys = tmp_path / ".keyturn" / "keys"
    for path in keys.glob("*.json"):
        path.rename(tmp_path / path.name)
    assert "everybody would be signed out" in refused(tmp_path)
    for path in tmp_path.glob("*.json"):
        path.rename(keys / path.name)
    with served(tmp_path):
        pass


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_stands_in_the_way_of_a_worker_ends_the_server(workers, tmp_path):
    more = {"KEYTURN_SERVER__COUNTERS": "nonsense:"}
    done = run_keyturn(tmp_path, "serve", "--port", "0", "--workers", workers, more=more)
    assert done.returncode == 1
    assert "no throttle is known for 'nonsense'" in done.stderr
    assert "Traceback" not in done.stderr


# --- terminals -------------------------------------------------------------------------------------------------------


def test_nobody_needs_to_read_what_it_says(tmp_path):
    with subprocess.Popen(
        [*keyturn_command(), "serve", "--port", "0"], cwd=tmp_path, env=environment(),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        found = re.search(r"http://127\.0\.0\.1:(\d+)", process.stderr.readline())
        process.stderr.close()
        try:
            for _ in range(3):
                with closing(socket.create_connection(("127.0.0.1", int(found[1])), timeout=30)) as wire:
                    wire.sendall(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                    assert wire.makefile("rb").readline().startswith(b"HTTP/1.1 200")
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(30)
    assert code in (0, 141)


def test_a_starter_that_leaves_after_the_first_line_stops_nothing(tmp_path, monkeypatch):
    said = []

    def say(line):
        if said:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")
        said.append(line)

    command = import_module("keyturn.cli.serve")
    monkeypatch.setattr(command, "say", say)
    command._welcome(load(here=tmp_path, environment={}), "http://127.0.0.1:8000")
    assert "http://127.0.0.1:8000" in said[0]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_terminal_that_is_closed_stops_the_server_in_order(workers, tmp_path):
    with served(tmp_path, "--workers", workers) as server:
        pids = server.workers
        for pid in {server.process.pid, *pids}:  # as the system does
            os.kill(pid, signal.SIGHUP)
        assert server.process.wait(60) == 0
        for pid in pids:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_that_was_told_not_to_mind_goes_on(workers, tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what `nohup` does, for its children
    try:
        server = start(tmp_path, "--port", "0", "--workers", workers)
    finally:
        signal.signal(signal.SIGHUP, before)
    try:
        server.wait_until_ready()
        for pid in {server.process.pid, *server.workers}:
            os.kill(pid, signal.SIGHUP)
        time.sleep(1)  # so long it would have stopped
        assert server.call("GET", "/health/live").status == 200
    finally:
        assert server.stop() == 0


def test_logs_are_lines_of_json_and_uvicorns_own_access_log_is_off(tmp_path):
    with served(tmp_path) as server:
        server.call("GET", "/auth/jwks.json?secret=s3cret-word")
    lines = [line for line in server.output.splitlines() if line.startswith("{")]
    records = [json.loads(line) for line in lines]
    assert {record["logger"] for record in records} <= {"uvicorn.error", "keyturn.requests", "keyturn.server"}
    assert "s3cret-word" not in server.output


def test_help_teaches():
    told = run_keyturn(Path.cwd(), "serve", "--help").stdout
    for word in ("127.0.0.1:8000", "./.keyturn/", "--workers", "--config", "keyturn users create"):
        assert word in told
    assert os.linesep in told
