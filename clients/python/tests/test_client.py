"""Both clients against a real server."""

from __future__ import annotations

import asyncio
import inspect

import httpx
import pytest
from conftest import PASSWORD, Server

import omnigent_client
from omnigent_client import (
    AsyncOmnigentClient,
    BadRequest,
    Conflict,
    Forbidden,
    InvalidRequest,
    NotFound,
    NotSignedIn,
    OmnigentClient,
    OmnigentError,
    Redirected,
    ServerError,
    StoredLogin,
    Throttled,
    Unauthorized,
    Unreachable,
    _async,
    _sync,
)


@pytest.fixture
def client(server: Server) -> OmnigentClient:
    server.sign_in()
    return OmnigentClient(server.url, auth=StoredLogin(server.url))


def test_sessions_are_made_changed_shared_and_deleted(client: OmnigentClient) -> None:
    assert client.me().user_id == "admin"
    agent = client.agents.resolve_agent("reviewer")
    assert client.sessions.resolve_agent("reviewer") == agent
    assert client.agents.get(f"ag_{agent.id}").name == "reviewer"
    made = client.sessions.create_from_agent_id(
        agent.id, title="one", labels={"a": "b"}, reasoning_effort="high", workspace="/w"
    )
    assert (made.title, made.labels, made.reasoning_effort) == ("one", {"a": "b"}, "high")
    assert client.sessions.get(f"conv_{made.id.upper()}") == client.sessions.get(made.id)
    changed = client.sessions.update(made.id, title="two", labels={"c": "d"}, archived=True)
    assert (changed.title, changed.labels, changed.archived) == ("two", {"a": "b", "c": "d"}, True)
    assert made.id not in [row.id for row in client.sessions.list()]
    rows = client.sessions.list(include_archived=True, agent_id=agent.id)
    assert made.id in [row.id for row in rows]
    assert client.sessions.items(made.id) == []
    assert client.sessions.permissions(made.id) == []
    client.sessions.delete(made.id)
    with pytest.raises(NotFound) as caught:
        client.sessions.get(made.id)
    assert caught.value.status_code == 404
    assert caught.value.code == "not_found"
    assert caught.value.request_id and len(caught.value.request_id) == 32


def test_listings_are_paged(client: OmnigentClient) -> None:
    agent = client.agents.resolve_agent("writer")
    made = [client.sessions.create_from_agent_id(agent.id).id for _ in range(3)]
    page = client.sessions.list(limit=2, agent_name="writer")
    assert len(page) == 2 and page.has_more and page.last_id == page[-1].id
    rest = client.sessions.list(limit=2, after=page.last_id, agent_name="writer")
    assert {row.id for row in page + rest} == set(made) and not rest.has_more
    assert len(client.agents.list(limit=1)) == 1
    assert {a.name for a in client.agents.iterate()} == {"reviewer", "writer"}
    for name in ("nobody", ""):
        with pytest.raises(LookupError):
            client.agents.resolve_agent(name)
        with pytest.raises(LookupError):
            client.agents.get(name)
    for session in made:
        client.sessions.delete(session)


def test_tokens_are_made_rotated_and_revoked(client: OmnigentClient, server: Server) -> None:
    made = client.tokens.create("ci", expires_in_days=3, scope="sessions:read")
    assert made.token not in repr(made) and made.scope == "sessions:read"
    with OmnigentClient(server.url, headers={"Authorization": f"Bearer {made.token}"}) as reader:
        assert isinstance(reader.sessions.list(), list)
        with pytest.raises(Unauthorized):
            reader.sessions.create_from_agent_id("0" * 32)
        successor = client.tokens.rotate(made.id)
        with pytest.raises(Unauthorized):
            reader.sessions.list()
    assert successor.id in [token.id for token in client.tokens.list()]
    client.tokens.revoke(successor.id)
    assert successor.id not in [token.id for token in client.tokens.list()]
    with pytest.raises(NotFound):
        client.tokens.revoke(successor.id)
    with pytest.raises(InvalidRequest) as caught:
        client.tokens.create("x", expires_in_days=1_000_000)
    assert caught.value.faults[0].loc == ("body", "expires_in_days")


def test_logins_are_listed_and_ended(client: OmnigentClient, server: Server) -> None:
    body = {"username": "admin", "password": PASSWORD}
    other = httpx.post(f"{server.url}/auth/login", json=body).json()["token"]
    assert [login.current for login in client.logins.list()].count(True) == 1
    client.logins.end_others()
    (mine,) = client.logins.list()
    assert mine.current
    with OmnigentClient(server.url, headers={"Authorization": f"Bearer {other}"}) as ended:
        with pytest.raises(Unauthorized):
            ended.sessions.list()
    client.logins.end(mine.id)
    with pytest.raises(NotSignedIn):
        client.me()


def test_asyncio_does_the_same(server: Server) -> None:
    server.sign_in()

    async def main() -> None:
        async with AsyncOmnigentClient(server.url, auth=StoredLogin(server.url)) as client:
            me, info = await asyncio.gather(client.me(), client.info())
            assert (me.user_id, me.is_admin, info.auth_mode) == ("admin", True, "accounts")
            agent = await client.agents.resolve_agent("reviewer")
            session = await client.sessions.create_from_agent_id(agent.id, title="x")
            assert (await client.sessions.get(session.id)).title == "x"
            assert session.id in [row.id for row in await client.sessions.list()]
            await client.sessions.update(session.id, title="y")
            await client.sessions.delete(session.id)
            made = await client.tokens.create("a")
            await client.tokens.revoke((await client.tokens.rotate(made.id)).id)
            assert len(await client.logins.list()) >= 1
            with pytest.raises(NotFound):
                await client.sessions.get(session.id)

    asyncio.run(main())


def test_the_twins_have_the_same_methods() -> None:
    for name in ("Agents", "Sessions", "Tokens", "Logins"):
        one, two = getattr(_sync, name), getattr(_async, f"Async{name}")
        methods = [m for m in vars(one) if not m.startswith("_")]
        assert methods == [m for m in vars(two) if not m.startswith("_")]
        for method in methods:
            ours, theirs = getattr(one, method), getattr(two, method)
            assert list(inspect.signature(ours).parameters.values()) == list(
                inspect.signature(theirs).parameters.values()
            )
            assert ours.__doc__ == theirs.__doc__ and ours.__doc__


def test_the_stock_listing_request_is_sent(server: Server) -> None:
    seen: list[httpx.Request] = []
    server.sign_in()
    with OmnigentClient(server.url, auth=StoredLogin(server.url)) as client:
        client._http.event_hooks = {"request": [seen.append]}
        client.sessions.list()
        list(client.agents.iterate())
    assert str(seen[0].url).endswith("/v1/sessions?limit=20&order=desc&sort_by=created_at")
    assert seen[1].url.query == b"limit=1000"
    assert {request.headers["origin"] for request in seen} == {"omnigent://internal"}


def test_a_server_that_is_not_there_is_unreachable() -> None:
    with OmnigentClient("http://127.0.0.1:9", timeout=5) as client:
        with pytest.raises(Unreachable):
            client.me()


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (400, {"error": {"code": "invalid_input", "message": "no"}}, BadRequest, "no"),
        (401, {"user_id": None, "login_url": "/login"}, Unauthorized, "the server answered 401"),
        (403, {"error": "admin only"}, Forbidden, "admin only"),
        (404, {"detail": "Not Found"}, NotFound, "Not Found"),
        (409, {"error": "taken"}, Conflict, "taken"),
        (410, {"error": "gone"}, NotFound, "gone"),
        (422, {"detail": [{"type": "t", "loc": ["body", "x"], "msg": "m"}]}, InvalidRequest, "body.x: m"),
        (429, {"error": "slow down"}, Throttled, "slow down"),
        (503, {"error": {"code": "unavailable", "message": "later"}}, ServerError, "later"),
        (302, {}, Redirected, "the server answered 302"),
        (418, {"error": "a\x1b[2Jb"}, OmnigentError, "a\ufffd[2Jb"),
        (500, "<html>", ServerError, "the server answered 500"),
        (500, [1], ServerError, "the server answered 500"),
    ],
)
def test_every_error_shape_is_an_exception(
    status: int, body: object, kind: type[OmnigentError], message: str
) -> None:
    headers = {"x-request-id": "abc", "retry-after": "7", "location": "https://evil.example/"}

    def answer(request: httpx.Request) -> httpx.Response:
        if isinstance(body, str):
            return httpx.Response(status, text=body, headers=headers)
        return httpx.Response(status, json=body, headers=headers)

    client = OmnigentClient("http://127.0.0.1:1")
    client._http = httpx.Client(transport=httpx.MockTransport(answer))
    with pytest.raises(OmnigentError) as caught:
        client.me()
    error = caught.value
    assert type(error) is kind
    assert (error.message, error.status_code, error.request_id) == (message, status, "abc")
    assert "abc" in str(error)
    if isinstance(error, (Throttled, ServerError)):
        assert error.retry_after == 7


@pytest.mark.parametrize("text", ["<html>", "[]", "{}", '{"id": 1}'])
def test_an_answer_that_makes_no_sense_is_an_error(text: str) -> None:
    client = OmnigentClient("http://127.0.0.1:1")
    transport = httpx.MockTransport(lambda request: httpx.Response(200, text=text))
    client._http = httpx.Client(transport=transport)
    with pytest.raises(OmnigentError):
        client.sessions.get("x")


def test_everything_public_is_documented() -> None:
    for name in omnigent_client.__all__:
        assert inspect.getdoc(getattr(omnigent_client, name)), name
