"""Two realms on one ring and one store with equal subjects: no token of one is good in the other."""

import pytest

from keyturn.http.guard import Need
from keyturn.settings import CookieSettings
from keyturn.stores.memory import MemoryStore
from keyturn.testing.entropy import CountingEntropy
from tests.support.front import BIND, PAGE, PASSWORD, REFRESH, BrokenStore, Device, a_front, settings_with, snapshot

pytestmark = pytest.mark.ids("M22")
STAFF = f"{REFRESH}_staff", f"{BIND}_staff"


def two_realms(**changes):
    store = BrokenStore(MemoryStore())
    shop = a_front(settings_with(**changes), store=store)
    staff = a_front(
        settings_with(realm="staff", **changes), store=store, clock=shop.clock, entropy=CountingEntropy("staff")
    )
    return shop, staff


def moved(device, front):
    """The same secrets, presented to the other realm under the names that it reads."""
    names = front.service.settings
    jar = {}
    for name, value in device.jar.items():
        jar[
            names.refresh_cookie
            if "refresh" in name
            else names.access_cookie
            if "access" in name
            else names.binding_cookie
        ] = value
    return Device(front, jar, device.access_token, device.refresh_token, device.session_id)


def test_cookie_names_differ():
    shop, staff = two_realms()
    assert sorted(shop.device().jar) == sorted([REFRESH, BIND])
    answer = staff.send("POST", "/auth/login", json={"username": "alice", "password": PASSWORD}, headers=PAGE)
    assert sorted(answer.cookies) == sorted(STAFF)


@pytest.mark.parametrize("page", [True, False])
@pytest.mark.parametrize("suffix", ["", "same"])
def test_no_token_of_one_realm_is_good_in_the_other(page, suffix):
    shop, staff = two_realms(cookie=CookieSettings(suffix=suffix))
    for here, there in ((shop, staff), (staff, shop)):
        device = here.device(page=page)
        stranger = moved(device, there)
        before = here.picture()
        assert stranger.call("GET", "/auth/session").seen == (401, "token_invalid")
        assert there.send("POST", "/auth/refresh", json={"refresh_token": device.current}).seen == (
            401,
            "token_invalid",
        )
        assert (
            moved(device, there)
            .send("POST", "/auth/refresh", json=None if page else {"refresh_token": device.current})
            .code
            == "token_invalid"
        )
        assert there.check(moved(device, there), Need(optional=True)) is None
        assert (
            there.send(
                "POST", "/auth/token", form={"grant_type": "refresh_token", "refresh_token": device.current}
            ).error
            == "invalid_grant"
        )
        assert there.send("POST", "/auth/revoke", form={"token": device.current}).status == 200
        assert there.send("POST", "/auth/revoke", form={"token": device.access_token}).status == 200
        assert moved(device, there).call("POST", "/auth/logout").status == 204
        assert here.picture() == before
        assert snapshot(device).call("GET", "/auth/session").status == 200


def test_lists_ends_and_sign_outs_stay_inside_their_realm():
    shop, staff = two_realms()
    customer, employee = shop.device(), staff.device(page=False)
    assert [item["id"] for item in customer.call("GET", "/auth/sessions").json["sessions"]] == [customer.session_id]
    assert customer.call("DELETE", "/auth/sessions/" + employee.session_id).seen == (404, "not_found")
    assert customer.call("DELETE", "/auth/sessions").json == {"ended": 0}
    assert customer.call("POST", "/auth/logout-all").json == {"ended": 1}
    shop.service._blocking_sessions().end_user("u-alice")
    shop.service._blocking_sessions().end_all()
    assert not shop.service._blocking_sessions().end(employee.session_id)
    assert employee.call("GET", "/auth/session").json["realm"] == "staff"


def test_the_limit_counts_each_realm_for_itself():
    shop, staff = two_realms(max_sessions=1)
    customer, employee = shop.device(), staff.device(page=False)
    assert customer.call("GET", "/auth/session").status == 200
    assert employee.call("GET", "/auth/session").status == 200


def test_signing_in_to_one_realm_with_a_token_of_the_other_ends_nothing():
    shop, staff = two_realms(cookie=CookieSettings(suffix="same"))
    customer = shop.device()
    body = {"username": "alice", "password": PASSWORD}
    assert staff.send("POST", "/auth/login", json=body, headers=PAGE, cookies=dict(customer.jar)).status == 200
    assert shop.row(customer).ended_at is None
