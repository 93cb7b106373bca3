"""The server in this process, and what it shows of itself: its log, its numbers."""

import io
import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from keyturn.server import logs
from keyturn.server.app import App, build
from keyturn.server.config import load
from keyturn.server.installation import Installation

#: The loggers of the standard library's tree that other tests rely on.
_STATE = ("handlers", "level", "propagate", "disabled")


@contextmanager
def configured(form: str = "json", level: str = "debug") -> Iterator[io.StringIO]:
    """Lead all logs into a text for the length of a ``with`` block."""
    everybody = [
        logging.getLogger(),
        *(each for each in logging.Logger.manager.loggerDict.values() if isinstance(each, logging.Logger)),
    ]
    before = [
        (logger, {name: getattr(logger, name) for name in _STATE} | {"handlers": list(logger.handlers)})
        for logger in everybody
    ]
    stream = io.StringIO()
    try:
        logs.configure(form, level, stream)
        yield stream
    finally:
        logging.captureWarnings(False)
        for logger, state in before:
            for name, value in state.items():
                setattr(logger, name, value)
        for name in ("sqlalchemy.engine", "uvicorn.access"):
            if not any(logger.name == name for logger, _ in before):
                logging.getLogger(name).setLevel(logging.NOTSET)
        logging.Logger.manager._clear_cache()


def lines_of(stream: io.StringIO, logger: str = "") -> list[dict[str, Any]]:
    """Give the lines of a JSON log, or those of one logger."""
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    return [line for line in found if logger in ("", line["logger"])]


PASSWORD = "correct horse battery staple"
#: Seconds; a database that was stopped needs one or two to come back, on a machine that does nothing else.
PATIENCE = 60


@contextmanager
def a_server(folder: Path, *, tables: str = "", create: bool = True, **server: Any) -> Iterator[tuple[TestClient, App]]:
    """Build the real server in a folder and give a client that stands on the same machine; its user is ada.

    Args:
        tables: more of `keyturn.toml`.
        create: whether ada is made.
        server: values of the table [server].
    """
    (folder / "keyturn.toml").write_text(tables)
    config = load(environment={}, here=folder, overrides=server)
    with Installation(config) as installation:
        installation.prepare()
        if create:
            installation.accounts.create("ada", password=PASSWORD)
    app = build(config)
    with TestClient(
        app, base_url="http://127.0.0.1:8000", client=("127.0.0.1", 50_000), raise_server_exceptions=False
    ) as client:
        yield client, app


def until_ready(client: TestClient) -> None:
    """Wait until the server says that it is ready."""
    deadline = time.monotonic() + PATIENCE
    while (answer := client.get("/health/ready")).status_code != 200:
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.1)


def numbers_of(client: TestClient, **headers: str) -> dict[str, float]:
    """Give what /metrics shows: a sample's name, with its labels as they are written -> its value."""
    answer = client.get("/metrics", headers=headers)
    assert answer.status_code == 200, answer.text
    return numbers_in(answer.text)


def numbers_in(text: str) -> dict[str, float]:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def sign_in(client: TestClient, password: str = PASSWORD, **more: Any) -> Any:
    return client.post(
        "/auth/login",
        json={"username": "ada", "password": password, "transport": "body", **more},
        headers={"Keyturn-Client": "test"},
    )


def refresh(client: TestClient, token: str) -> Any:
    return client.post("/auth/refresh", json={"refresh_token": token}, headers={"Keyturn-Client": "test"})
