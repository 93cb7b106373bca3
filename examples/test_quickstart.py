"""The first unit test of an application: ``pytest test_quickstart.py`` beside ``quickstart_fastapi.py``."""

from quickstart_fastapi import app, auth

from keyturn.testing import ManualClock, client, signed_in


def test_me_tells_who_is_signed_in():
    with auth.override(store="memory:"):
        assert client(app, auth).get("/me").status_code == 401
        assert signed_in(app, auth, "user-1").get("/me").json() == {"subject": "user-1"}


def test_an_access_token_lives_for_five_minutes():
    clock = ManualClock()
    with auth.override(store="memory:", clock=clock):
        ada = signed_in(app, auth, "user-1")
        clock.advance(5 * 60 + 31)  # and half a minute for clocks that differ
        assert ada.get("/me").json()["code"] == "token_expired"
        assert ada.post("/auth/refresh").status_code == 200
