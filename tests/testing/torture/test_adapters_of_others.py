"""How the adapters for other products write their requests and read the answers that those products give."""

import json
from urllib.parse import parse_qs

import pytest

from keyturn.testing.torture import Adapter, Answer, Call, Held, Outcome, SignInError, User
from keyturn.testing.torture.adapters import UnknownAdapterError, find

OTHERS = ("django-oauth-toolkit", "oidc-provider", "simplejwt")
ANNA = User(name="anna", password="seven swans")
HELD = Held(refresh_token="refresh-1", access_token="access-1")


def answer(status: int, **content: str) -> Answer:
    return Answer(status=status, body=json.dumps(content).encode())


def fields(call: Call) -> dict[str, str]:
    if call.headers.get("Content-Type") == "application/json":
        return dict(json.loads(call.body))
    return {name: values[0] for name, values in parse_qs(call.body.decode()).items()}


def tokens_of(adapter: Adapter) -> dict[str, str]:
    return (
        {"refresh": "refresh-2", "access": "access-2"}
        if adapter.name == "simplejwt"
        else {"refresh_token": "refresh-2", "access_token": "access-2", "token_type": "Bearer"}
    )


@pytest.fixture(params=OTHERS)
def adapter(request: pytest.FixtureRequest) -> Adapter:
    return find(request.param, {})


@pytest.mark.anyio
async def test_a_sign_in_sends_name_and_password_and_keeps_both_tokens(adapter: Adapter) -> None:
    sent: list[Call] = []

    async def send(call: Call) -> Answer:
        sent.append(call)
        return answer(200, **tokens_of(adapter))

    held = await adapter.sign_in(send, ANNA, "body")
    assert fields(sent[0]).items() >= {"username": "anna", "password": "seven swans"}.items()
    assert (held.refresh_token, held.access_token) == ("refresh-2", "access-2")


@pytest.mark.anyio
async def test_a_wrong_password_is_said_without_the_password(adapter: Adapter) -> None:
    async def send(_call: Call) -> Answer:
        return answer(401, error="invalid_grant")

    with pytest.raises(SignInError) as refused:
        await adapter.sign_in(send, ANNA, "body")
    assert "swans" not in str(refused.value)


def test_a_refresh_presents_the_token_and_keeps_its_successor(adapter: Adapter) -> None:
    assert "refresh-1" in fields(adapter.refresh(HELD)).values()
    came = adapter.refreshed(HELD, answer(200, **tokens_of(adapter)))
    assert came.outcome is Outcome.OK
    assert came.held is not None
    assert (came.held.refresh_token, came.held.access_token) == ("refresh-2", "access-2")


def test_an_answer_without_a_refresh_token_leaves_the_old_one_in_use(adapter: Adapter) -> None:
    came = adapter.refreshed(HELD, answer(200))
    assert came.held is not None
    assert came.held.refresh_token == "refresh-1"


@pytest.mark.parametrize("status", [400, 401])
def test_a_refused_refresh_means_signed_out(adapter: Adapter, status: int) -> None:
    came = adapter.refreshed(HELD, answer(status, error="invalid_grant", code="token_not_valid"))
    assert came.outcome is Outcome.SIGNED_OUT
    assert came.held is None


def test_the_guarded_route_is_called_with_the_access_token(adapter: Adapter) -> None:
    call = adapter.who_am_i(HELD)
    assert (call.method, call.path, call.headers["Authorization"]) == ("GET", "/me", "Bearer access-1")
    assert adapter.recognised(answer(200)) is Outcome.OK
    assert adapter.recognised(answer(401, code="token_not_valid")) is Outcome.EXPIRED


def test_a_logout_names_the_refresh_token_and_is_believed_only_when_it_is_confirmed(adapter: Adapter) -> None:
    assert "refresh-1" in fields(adapter.end(HELD)).values()
    assert adapter.ended(answer(200))
    assert not adapter.ended(answer(401))


def test_what_the_products_do_not_have_is_not_asked_of_them(adapter: Adapter) -> None:
    assert adapter.end_other(HELD, "any") is None
    assert adapter.end_all(HELD) is None
    assert adapter.list_sessions(HELD) is None


def test_a_user_whom_simplejwt_refuses_is_signed_out() -> None:
    assert find("simplejwt", {}).recognised(answer(401, code="user_inactive")) is Outcome.SIGNED_OUT


def test_a_client_with_a_secret_says_it_in_the_body() -> None:
    adapter = find("oidc-provider", {"client_id": "shop", "client_secret": "s3cret", "token": "/oauth/token"})
    call = adapter.refresh(HELD)
    assert call.path == "/oauth/token"
    assert fields(call).items() >= {"client_id": "shop", "client_secret": "s3cret"}.items()
    assert "scope" not in fields(call)


def test_a_server_that_promises_no_bound_is_told_so_by_an_option() -> None:
    assert find("oidc-provider", {"bound": ""}).bound is None
    assert find("oidc-provider", {"bound": "2.5"}).bound == 2.5
    assert find("simplejwt", {}).bound is None


@pytest.mark.parametrize("name", OTHERS)
def test_an_option_that_is_misspelt_is_refused(name: str) -> None:
    with pytest.raises(UnknownAdapterError, match="pasword"):
        find(name, {"pasword": "x"})
