"""Programs that tests start as processes of their own: python sqlalchemy_children.py COMMAND URL …"""

import asyncio
import os
import sys

from keyturn import stores
from keyturn._colour import drive
from keyturn.session import EndReason
from keyturn.testing._store_stage import NOW, UNTIL, Stage, turn_of


def say(*words):
    """Write one line at once: what is said was said, whatever happens next."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def race(url, number):
    """When told to, try one turn sixteen times at once, end twenty sessions, and say who won what.

    Even numbers await, odd ones block with threads.
    """
    colour = "async" if int(number) % 2 == 0 else "sync"
    store = stores.open(url, colour=colour)
    stage = Stage(store, colour)

    async def main():
        await store.find("shop", "nobody", now=NOW)
        say("ready")
        shared, *ends = sys.stdin.readline().split()
        turn = turn_of(stage.session(), id=shared)
        answers = await stage.together([lambda: store.advance(turn)] * 16)

        def ending(ids):
            return lambda: store.end(ids, at=NOW, reason=EndReason.LOGOUT, until=UNTIL)

        # Backwards, and several at once: locks that are taken in another order than everybody's.
        batches = [ends[start : start + 5][::-1] for start in range(0, len(ends), 5)]
        told = await stage.together([ending(batch) for batch in batches])
        say(sum(answer is not None for answer in answers), sum(map(len, told)))
        if colour == "async":
            await store.aclose()

    if colour == "async":
        asyncio.run(main())
    else:
        drive(main())
        store.close()


def storm(url):
    """Turn 32 sessions without end; tell each turn once it was answered."""

    async def turning(store, session):
        generation = 0
        while await store.advance(turn_of(session, generation=generation, to=generation + 1)):
            generation += 1
            say(session.id, generation)

    async def main():
        stage = Stage(stores.open(url, colour="async"), "async")
        sessions = [await stage.add() for _ in range(32)]
        await asyncio.gather(*(turning(stage.store, session) for session in sessions))

    asyncio.run(main())


def leave(url):
    """Use stores of both colours and end without closing them."""
    for _ in range(2):
        drive(Stage(stores.open(url), "sync").store.find("shop", "ana", now=NOW))  # the first is forgotten at once
    left = stores.open(url)
    drive(left.find("shop", "ana", now=NOW))

    async def main():
        stage = Stage(stores.open(url, colour="async"), "async")
        await stage.store.advance(turn_of(await stage.add()))

    asyncio.run(main())
    say("left", left.colour)


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    {"race": race, "storm": storm, "leave": leave}[command](*arguments)
