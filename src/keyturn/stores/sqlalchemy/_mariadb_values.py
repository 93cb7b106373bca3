"""How values and lists of ids travel to MariaDB, what is refused before they do, and what happens together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from typing import Any, Final, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from ...errors import ConfigurationError
from ._statements import bucket_of

T = TypeVar("T")

#: Octets; what TEXT and MEDIUMTEXT hold.
_TEXT, _MEDIUMTEXT = 2**16 - 1, 2**24 - 1
_CHARACTERS: Final = {"realm": 32, "subject": 255}
_OCTETS: Final = {
    **dict.fromkeys(("client_id", "scope", "user_agent", "ip", "device_name"), _TEXT),
    **dict.fromkeys(("amr", "claims"), _MEDIUMTEXT),
}
#: INSERT … RETURNING came with it.
_OLDEST: Final = (10, 5)


def digits(value: bytes | None) -> str | None:
    """Give bytes as hexadecimal digits, for UNHEX."""
    return None if value is None else value.hex()


def of_ids(raws: Sequence[bytes]) -> str:
    """Spell the condition that a row's id is one of these; a range of the primary key for each."""
    ordered = sorted(raws)
    buckets = [
        f"bucket = {bucket} AND id IN (" + ", ".join(f"x'{raw.hex()}'" for raw in members) + ")"
        for bucket, members in groupby(ordered, bucket_of)
    ]
    return "(" + " OR ".join(buckets) + ")"


def id_list(values: Sequence[tuple[bytes, int]]) -> str:
    """Spell a table of bucket, id and value."""
    rows = [f"SELECT {bucket_of(raw)} AS bucket, x'{raw.hex()}' AS id, {value} AS value" for raw, value in values]
    return " UNION ALL ".join(rows)


def refuse_too_long(values: Mapping[str, Any]) -> None:
    """Refuse what the columns do not hold.

    Raises:
        ValueError: a text is too long.
    """
    for name, most in _CHARACTERS.items():
        if len(values.get(name) or "") > most:
            raise ValueError(f"{name} has more than {most} characters")
    for name, most in _OCTETS.items():
        if len((values.get(name) or "").encode()) > most:
            raise ValueError(f"{name} takes more than {most} bytes in UTF-8")


def refuse_unfit(connection: Connection) -> None:
    """Refuse a server that is no MariaDB or too old, and connections that lose characters.

    Raises:
        ConfigurationError: with the remedy.
    """
    version = connection.dialect.server_version_info or ()
    if not getattr(connection.dialect, "is_mariadb", False) or version < _OLDEST:
        raise ConfigurationError(["the store needs MariaDB 10.5 or newer; MySQL lacks what its statements stand on"])
    asked = "SELECT @@character_set_client, @@character_set_connection, @@character_set_results"
    if set(connection.exec_driver_sql(asked).one()) != {"utf8mb4"}:
        raise ConfigurationError(["the engine's connections must speak utf8mb4: add ?charset=utf8mb4 to its address"])


def together(connection: Connection, work: Callable[[], T]) -> T:
    """Do the work in one transaction, whatever the connection does with statements outside of one."""
    connection.exec_driver_sql("START TRANSACTION")
    try:
        result = work()
        connection.exec_driver_sql("COMMIT")
    except Exception:
        with suppress(DBAPIError):  # the connection itself may be gone, and the transaction with it
            connection.exec_driver_sql("ROLLBACK")
        raise
    return result


def code_of(error: DBAPIError) -> int | None:
    """Give the server's number of an error."""
    arguments = getattr(error.orig, "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else None
