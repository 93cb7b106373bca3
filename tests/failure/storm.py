"""Many honest clients that refresh without pause while something happens to what is behind them."""

import random
import threading
import time
from http.client import HTTPException
from typing import Self

from tests.failure.conftest import Program

CLIENTS = 8
NOT_NOW = (503, "store_unavailable")


class Storm:
    """Programs that refresh without pause, each in a thread of its own."""

    def __init__(self, port: int) -> None:
        self.programs = [Program(port, f"user-{number}") for number in range(CLIENTS)]
        self.turns, self.lost = [0] * CLIENTS, [0] * CLIENTS
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(CLIENTS)]

    def __enter__(self) -> Self:
        for program in self.programs:
            program.sign_in()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Let every client finish what it does."""
        self._over.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self, number: int) -> None:
        program = self.programs[number]
        while not self._over.is_set():
            try:
                status = program.refresh()
                self.turns[number] += status == 200
                if status != 200:
                    time.sleep(0.02)  # as Retry-After asks for, but more hasty
                if random.random() < 0.3:  # some successors are seen in use, others are not
                    program.me()
            except (OSError, HTTPException):  # an answer lost, or nobody there
                self.lost[number] += 1
                time.sleep(0.05)

    @property
    def codes(self) -> set[tuple[int, str]]:
        """What clients were told besides 200."""
        return {code for program in self.programs for code in program.codes}

    def go_on_until_all_turned(self, more: int = 3) -> None:
        """Wait until every client has turned its key so often again."""
        goal, patience = [turns + more for turns in self.turns], time.monotonic() + 30
        while not all(turns >= wanted for turns, wanted in zip(self.turns, goal, strict=True)):
            assert time.monotonic() < patience, f"somebody does not go on: {self.turns}, {self.codes}"
            time.sleep(0.02)

    def check_that_all_go_on(self) -> None:
        """Every client refreshes and is let in, and no token ever gave two different ones."""
        for program in self.programs:
            assert program.refresh() == 200
            assert program.me() == 200
            assert {len(given) for given in program.successors.values()} == {1}

    def check_that_spent_tokens_are_known(self) -> None:
        """Whoever presents a token of three turns ago is refused, and that session ends."""
        for program in self.programs:
            spent = list(program.successors)[-3]
            thief = Program(program.port, "thief", refresh_token=spent)
            assert thief.refresh() == 401
            assert thief.codes == [(401, "session_ended")]
            assert program.refresh() == 401
