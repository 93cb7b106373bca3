"""How a test holds the SQLite writer up, so that it knows what waits."""

import asyncio
import threading


class Gate:
    """Holds the writer up until it is opened."""

    def __init__(self, store):
        self._store, self._opened, self.reached = store, threading.Event(), threading.Event()

    def _wait(self, connection):
        self.reached.set()
        assert self._opened.wait(60)

    async def hold(self):
        await self._store._read(self._wait)

    def open(self):
        self._opened.set()


async def submitted(*coroutines):
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    await asyncio.sleep(0)  # each runs to its first wait
    return tasks
