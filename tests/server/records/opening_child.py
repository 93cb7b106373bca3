"""A process of its own that opens one file: python opening_child.py PATH store|records NUMBER."""

import sys

from keyturn._colour import drive
from keyturn.errors import StoreError
from keyturn.server.records import TakenError
from keyturn.server.records.sqlite import SqliteRecords
from keyturn.stores.sqlite import SqliteStore
from keyturn.testing._store_stage import REALM, SUBJECT
from tests.server.records.conftest import NOW, an_account


def add(records: SqliteRecords, name: str, subject: str) -> bool:
    try:
        drive(records.add_account(an_account(name, subject=subject)))
    except TakenError:
        return False
    return True


def main(path: str, first: str, number: str) -> None:
    sys.stdin.readline()
    store, records = SqliteStore(path, synchronous="NORMAL"), SqliteRecords(path, synchronous="NORMAL")
    try:
        if first == "store":
            drive(store.find(REALM, SUBJECT, now=NOW))
        own = sum(add(records, f"{number}-{n}", f"own {number}-{n}") for n in range(5))
        shared = sum(add(records, f"shared {n}", f"shared {number}-{n}") for n in range(5))
        drive(store.find(REALM, SUBJECT, now=NOW))
        sys.stdout.write(f"{own} {shared}\n")
    except StoreError as error:
        sys.stdout.write(f"{error.cause}\n")
    finally:
        records.close()
        store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
