"""kill -9 of the application, in the middle of everything: who behaves stays signed in, and no token works twice."""

import threading
import time

import pytest

from tests.failure.conftest import Program, Server
from tests.failure.storm import CLIENTS, Storm

KILLS = 3


@pytest.mark.ids("M04", "M07")
def test_every_client_goes_on_after_the_server_is_killed_in_a_storm_of_refreshes(server: Server) -> None:
    with Storm(server.port) as storm:
        for _ in range(KILLS):
            storm.go_on_until_all_turned()
            server.kill()
            server.start()
        storm.go_on_until_all_turned()
    assert storm.codes == set(), "somebody was refused"
    assert sum(storm.lost) >= KILLS, "no answer was lost: the storm tested nothing"
    assert len(storm.programs) == CLIENTS
    storm.check_that_all_go_on()
    storm.check_that_spent_tokens_are_known()


@pytest.mark.ids("M04", "RT-18")
def test_a_logout_and_a_spent_token_are_remembered_after_a_kill(server: Server) -> None:
    leaver, victim = Program(server.port, "leaver"), Program(server.port, "victim")
    for program in (leaver, victim):
        program.sign_in()
    stolen = victim.refresh_token
    for _ in range(2):
        assert victim.refresh() == 200
    assert leaver.ask("POST", "/auth/logout", {"refresh_token": leaver.refresh_token})[0] == 204
    server.kill()
    server.start()
    # the first request of a new process loads the log of ended sessions before it is answered
    assert leaver.me() == 401
    assert leaver.refresh() == 401
    thief = Program(server.port, "thief", refresh_token=stolen)
    assert thief.refresh() == 401
    assert victim.refresh() == 401, "the theft did not end the session"


@pytest.mark.ids("SE-02")
def test_a_logout_in_one_worker_is_felt_in_the_other_within_the_bound(server: Server, neighbour: Server) -> None:
    here = Program(server.port, "alice")
    here.sign_in()
    there = Program(neighbour.port, "alice", access_token=here.access_token)
    assert here.me() == 200
    assert there.me() == 200
    assert here.ask("POST", "/auth/logout", {"refresh_token": here.refresh_token})[0] == 204
    assert here.me() == 401, "the same process must feel it at once"
    bound = time.monotonic() + 5 + 1
    while there.me() != 401:
        assert time.monotonic() < bound, "beyond the staleness bound"
        time.sleep(0.1)


@pytest.mark.ids("RT-05", "M01")
def test_two_workers_that_get_one_token_at_once_give_one_successor(server: Server, neighbour: Server) -> None:
    here = Program(server.port, "alice")
    here.sign_in()
    answers: list[tuple[int, str]] = []

    def refresh(port: int) -> None:
        copy = Program(port, "alice", refresh_token=here.refresh_token)
        answers.append((copy.refresh(), copy.refresh_token))

    threads = [threading.Thread(target=refresh, args=(port,)) for port in (server.port, neighbour.port) * 8]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {status for status, _ in answers} == {200}
    assert len({token for _, token in answers}) == 1
