"""One process of a race: python -m tests.regressions.racer URL NOW TOKEN BINDING, and a line on standard input to start.

It presents one refresh token sixteen times at once and says which tokens came back, and how often it turned the key.
"""

import asyncio
import json
import sys
import threading
from datetime import datetime
from typing import Any

from keyturn._colour import drive
from keyturn.testing.clock import ManualClock
from keyturn.testing.entropy import CountingEntropy
from tests.support.all_stores import opened
from tests.support.desk import Device, a_desk

TIMES = 16


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def race(url: str, now: str, token: str, binding: str) -> list[Any]:
    with opened(url) as store:
        desk = a_desk(store, clock=ManualClock(datetime.fromisoformat(now)), entropy=CountingEntropy(str(sys.argv)))
        presented = desk.presented(Device("cookie", token, "", binding))
        say("ready")
        sys.stdin.readline()
        if store.colour == "async":
            return asyncio.run(_together([desk.flows.refresh(presented) for _ in range(TIMES)], store))
        answers: list[Any] = []
        threads = [
            threading.Thread(target=lambda: answers.append(drive(desk.flows.refresh(presented)))) for _ in range(TIMES)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers


async def _together(calls: list[Any], store: Any) -> list[Any]:
    try:
        return list(await asyncio.gather(*calls))
    finally:
        await store.aclose()


if __name__ == "__main__":
    outcomes = race(*sys.argv[1:])
    told = {
        "tokens": sorted({each.pair.refresh_token for each in outcomes}),
        "turned": sum(each.turned for each in outcomes),
    }
    say(json.dumps({**told, "answers": len(outcomes)}))
