"""Programs that tests start as processes of their own: python sqlite_children.py COMMAND PATH …"""

import asyncio
import os
import sys

from keyturn._colour import drive
from keyturn.session import EndReason
from keyturn.stores.sqlite import SqliteStore
from keyturn.testing._store_stage import NOW, UNTIL, Stage, turn_of


def say(*words):
    """Write one line at once: what is said was said, whatever happens next."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def storm(path):
    """Turn 32 sessions without end; tell each turn once it was answered."""

    async def turning(store, session):
        generation = 0
        while await store.advance(turn_of(session, generation=generation, to=generation + 1)):
            generation += 1
            say(session.id, generation)

    async def main():
        stage = Stage(SqliteStore(path), "async")
        sessions = [await stage.add() for _ in range(32)]
        await asyncio.gather(*(turning(stage.store, session) for session in sessions))

    asyncio.run(main())


def race(path, number):
    """Add ten sessions; when told to, try one turn sixteen times at once, then end the ten one by one."""
    stage = Stage(SqliteStore(path), "async")

    async def main():
        store, own = stage.store, [stage.session(subject=number, created_at=NOW) for _ in range(20)]
        own = own[:10] if number == "0" else [stage.session(id=_moved(session.id, number)) for session in own[:10]]
        for session in own:
            await store.add(session)
        say("ready")
        shared = sys.stdin.readline().strip()
        turn = turn_of(stage.session(), id=shared)
        answers = await asyncio.gather(*(store.advance(turn) for _ in range(16)))
        for session in own:
            await store.end([session.id], at=NOW, reason=EndReason.LOGOUT, until=UNTIL)
        say(sum(answer is not None for answer in answers))

    asyncio.run(main())


def _moved(id_, number):
    """An id of another process: the same but for one character in the middle."""
    return id_[:8] + "BCDEFGHIJ"[int(number)] + id_[9:]


def leave(path):
    """Use a store and end without closing it."""
    stage = Stage(SqliteStore(path), "sync")
    drive(stage.add())
    forgotten = Stage(SqliteStore(path + ".forgotten"), "sync")
    drive(forgotten.add())
    del forgotten


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    {"storm": storm, "race": race, "leave": leave}[command](*arguments)
