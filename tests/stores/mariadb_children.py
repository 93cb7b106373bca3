"""Programs that tests start as processes of their own: python -m tests.stores.mariadb_children COLOUR URL ID NUMBER."""

import asyncio
import os
import sys
from concurrent.futures import ThreadPoolExecutor

from keyturn._colour import drive
from keyturn.session import EndReason
from keyturn.stores.sqlalchemy import SqlAlchemyStore
from keyturn.testing._store_stage import NOW, UNTIL, Stage, turn_of
from tests.support.mariadb_engines import async_engine_for, engine_for

TIMES = 16


def race(colour, url, shared, number):
    """Make ten sessions; when told to, try one turn sixteen times at once, then end the ten; say how often it turned."""
    make = engine_for if colour == "sync" else async_engine_for
    engine = make(url)
    stage = Stage(SqlAlchemyStore(engine), colour, iter(range(1000 * (number + 1), 10**9)))
    turn = turn_of(stage.session(), id=shared)
    own = [stage.session() for _ in range(10)]

    def say(line):
        os.write(1, f"{line}\n".encode())

    if colour == "sync":
        for session in own:
            drive(stage.store.add(session))
        say("ready")
        sys.stdin.readline()
        with ThreadPoolExecutor(TIMES) as threads:
            answers = list(threads.map(lambda _: drive(stage.store.advance(turn)), range(TIMES)))
        for session in own:
            drive(stage.store.end([session.id], at=NOW, reason=EndReason.LOGOUT, until=UNTIL))
    else:

        async def main():
            for session in own:
                await stage.store.add(session)
            say("ready")
            await asyncio.to_thread(sys.stdin.readline)
            answers = await asyncio.gather(*(stage.store.advance(turn) for _ in range(TIMES)))
            for session in own:
                await stage.store.end([session.id], at=NOW, reason=EndReason.LOGOUT, until=UNTIL)
            await stage.store.aclose()
            await engine.dispose()
            return answers

        answers = asyncio.run(main())
    say(sum(answer is not None for answer in answers))
    if colour == "sync":
        engine.dispose()


if __name__ == "__main__":
    race(*sys.argv[1:4], int(sys.argv[4]))
