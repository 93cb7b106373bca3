"""One line for each record, that nobody can forge and that holds no secret."""

import io
import json
import logging
import sqlite3
import sys

import pytest

from keyturn.errors import StoreError
from keyturn.server.logs import FIELDS, configure, session_mark
from tests.support.observed import configured, lines_of

TOKEN = "kt1.AAEEHPqYW3dQxk1cYf9t0m2m1QAAAAFq8zS0pYlH3q3rE1bXh3G4v0aFt6rCk0W9t2Xw1e7u4Zs"
FORGED = "evil\r\n2026-01-01T00:00:00.000Z INFO    root forged\u2028forged\x85forged\x1b[2J\x00\ud800"


def test_a_line_is_one_json_object_with_what_stands_beside_the_message():
    with configured("json", "info") as stream:
        logging.getLogger("keyturn.x").info("hello %s", "you", extra={FIELDS: {"status": 200, "route": "/a"}})
    (line,) = lines_of(stream)
    assert line.pop("time").endswith("Z")
    assert line == {"level": "info", "logger": "keyturn.x", "message": "hello you", "status": 200, "route": "/a"}


def test_the_text_format_is_for_people():
    with configured("text", "info") as stream:
        logging.getLogger("keyturn.x").warning("hello", extra={FIELDS: {"status": 200, "reason": "two words"}})
    assert stream.getvalue()[24:] == ' WARNING keyturn.x hello status=200 reason="two words"\n'


@pytest.mark.ids("ST-03")
@pytest.mark.parametrize("form", ["json", "text"])
def test_no_value_can_forge_a_line(form):
    with configured(form, "info") as stream:
        logging.getLogger("keyturn.x").info("hello " + FORGED, extra={FIELDS: {"reason": FORGED}})  # noqa: G003 - as somebody may write it
        logging.getLogger("x").info("hello %s %r", FORGED, FORGED)
        try:
            raise StoreError(cause=FORGED)
        except StoreError:
            logging.getLogger("x").exception(FORGED)
    text = stream.getvalue()
    assert not any(c in text for c in "\r\u2028\x85\x1b\x00\ud800")
    records = [line for line in text.splitlines() if not line.startswith("  | ")]
    assert len(records) == 3
    assert all(line.startswith(("{", "2026-", "20")) for line in records)
    assert not any(line.startswith("2026-01-01") for line in records)


@pytest.mark.ids("ST-01")
@pytest.mark.parametrize("form", ["json", "text"])
def test_a_token_is_blanked_in_every_part_of_a_record(form):
    with configured(form) as stream:
        log = logging.getLogger("somebody.else")
        log.debug("got %s", TOKEN)
        log.debug("got", extra={FIELDS: {"value": TOKEN, "number": 1}})
        log.debug({"password": "hunter2hunter2"})
        try:
            raise ValueError(TOKEN)
        except ValueError as error:
            log.error(error)  # noqa: TRY400 - an error as the message
            log.exception("failed")
    assert "hunter2" not in stream.getvalue()
    assert TOKEN[4:20] not in stream.getvalue()
    assert stream.getvalue().count("***") == 4


@pytest.mark.ids("ST-01", "ST-03")
@pytest.mark.parametrize("form", ["json", "text"])
def test_an_exceptions_words_are_not_told_but_its_kind_and_place_are(form):
    password = "hunter2hunter2"
    with configured(form) as stream:
        try:
            try:
                raise sqlite3.IntegrityError(f"failed for {password}")
            except sqlite3.IntegrityError as error:
                raise ExceptionGroup(password, [ValueError(password)]) from error
        except ExceptionGroup:
            logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
    text = stream.getvalue()
    assert password not in text
    for told in ("ExceptionGroup", "ValueError", "IntegrityError", "test_logs.py"):
        assert told in text


def test_the_words_of_our_own_errors_and_of_the_system_are_told():
    with configured("json") as stream:
        for error in (
            StoreError(cause=f"no route to host for {TOKEN}"),
            FileNotFoundError(2, "No such file", "/secret/place"),
        ):
            try:
                raise error
            except Exception:
                logging.getLogger("x").exception("failed")
    assert "StoreError: no route to host for ***" in stream.getvalue()
    assert "FileNotFoundError: No such file" in stream.getvalue()


@pytest.mark.ids("ST-01")
@pytest.mark.parametrize("form", ["json", "text"])
def test_a_record_that_cannot_be_formatted_is_named_and_not_shown(form, capsys):
    with configured(form) as stream:
        logging.getLogger("clumsy").info("%d tokens", "hunter2hunter2")
    assert "a record of clumsy could not be written: TypeError" in stream.getvalue()
    assert "hunter2" not in stream.getvalue() + capsys.readouterr().err


def test_a_stream_that_is_gone_disturbs_nobody(capsys):
    stream = io.StringIO()
    with configured():
        configure("json", "info", stream)
        stream.close()
        logging.getLogger("x").info("nobody hears this")
    assert capsys.readouterr().err == ""


def test_records_of_other_libraries_come_to_the_same_place_and_once():
    alien = io.StringIO()
    names = ("uvicorn", "uvicorn.error", "sqlalchemy.engine.Engine", "sqlalchemy.pool")
    loggers = [logging.getLogger(name) for name in names]
    with configured() as stream:  # keeps what was before
        for logger in loggers:
            logger.addHandler(logging.StreamHandler(alien))
            logger.propagate = False
        configure("json", "info", stream)
        configure("json", "info", stream)
        for logger in loggers:
            logger.error("hello %s", TOKEN)
        logging.getLogger("py.warnings").warning("old")
    assert alien.getvalue() == ""
    assert [line["logger"] for line in lines_of(stream)] == [*names, "py.warnings"]
    assert TOKEN not in stream.getvalue()


@pytest.mark.ids("ST-01")
def test_rows_of_the_database_and_uvicorns_own_access_lines_are_never_logged():
    with configured("json", "debug") as stream:
        logging.getLogger("sqlalchemy").setLevel(logging.DEBUG)
        logging.getLogger("sqlalchemy.engine.Engine").info("SELECT … ('ada', 'secret')")
        logging.getLogger("uvicorn.access").info("GET /auth/session?password=x")
    assert stream.getvalue() == ""


@pytest.mark.parametrize(("level", "count"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_a_level_keeps_what_matters_less_away(level, count):
    with configured("json", level) as stream:
        for how in ("debug", "info", "warning", "error"):
            getattr(logging.getLogger("keyturn"), how)("hello")
    assert len(lines_of(stream)) == count


def test_standard_error_is_where_logs_go_unless_told_otherwise(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with configured():
        configure()
        logging.getLogger("keyturn").info("hello")
    assert json.loads(stream.getvalue())["message"] == "hello"


@pytest.mark.ids("ST-01")
def test_a_session_has_one_mark_that_does_not_tell_its_id():
    marks = {session_mark(f"AXrP0sB4Qm2x5o1mG8yFh{c}") for c in "ABC"}
    assert len(marks) == 3
    assert session_mark("AXrP0sB4Qm2x5o1mG8yFhA") == session_mark("AXrP0sB4Qm2x5o1mG8yFhA")
    assert all(len(mark) == 16 and int(mark, 16) >= 0 for mark in marks)


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_flood_of_connections_is_no_flood_of_lines(form):
    def told(logger: str, message: str, at: float, *args: object) -> None:
        record = logging.LogRecord(logger, logging.ERROR, "", 0, message, args, None)
        record.created = at
        logging.getLogger(logger).handle(record)

    with configured(form) as stream:
        for at in range(5000):
            told("asyncio", "socket.accept() out of system resource\nsocket: <x>", 1000 + at / 2000)
            told("keyturn.server", "more than %d connections are open: new ones are closed", 1000 + at / 2000, 7)
        told("asyncio", "another", 1002.5)
        told("asyncio", "another", 1002.5)
    assert stream.getvalue().count("socket.accept()") == 3
    assert stream.getvalue().count("more than 7 connections") == 3
    assert stream.getvalue().count("another") == 2
