"""The stored login: the command's file, its lock, renewing, and to whom the token goes."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import threading
import time
from pathlib import Path

import httpx
import pytest
from conftest import Server

from omnigent_client import (
    AddressError,
    AsyncOmnigentClient,
    NotSignedIn,
    OmnigentClient,
    OmnigentError,
    StoredLogin,
    Unauthorized,
    VaultError,
)
from omnigent_client._address import key


def plant(server: str, directory: Path, **members: object) -> StoredLogin:
    entry = {"token": "the.secret.token", "user_id": "ada", "expires_at": time.time() + 9999, **members}
    path = directory / "auth_tokens.json"
    path.write_text(json.dumps({server: entry}, indent=2))
    path.chmod(0o600)
    return StoredLogin(server, directory=directory)


def test_a_login_about_to_end_is_renewed_and_stored(server: Server) -> None:
    server.sign_in()
    before = server.stored()[server.url]
    server.age(30)
    with OmnigentClient(server.url, auth=StoredLogin(server.url)) as client:
        assert client.me().user_id == "admin"
    after = server.stored()[server.url]
    assert after["token"] != before["token"]
    assert isinstance(after["expires_at"], float) and after["expires_at"] > time.time() + 3000
    assert stat.S_IMODE(server.vault.stat().st_mode) == 0o600
    # The command goes on with it.
    assert server.command("token").strip() == after["token"]


def spoil(server: Server) -> str:
    """Makes the stored token one the server refuses, long before its time."""
    entries = server.stored()
    entry = entries[server.url]
    bad = str(entry["token"])[:-4] + "AAAA"
    entry["token"] = bad
    server.vault.write_text(json.dumps(entries, indent=2))
    return bad


def test_a_token_refused_before_its_time_is_renewed_once(server: Server) -> None:
    server.sign_in()
    bad = spoil(server)
    with OmnigentClient(server.url, auth=StoredLogin(server.url)) as client:
        session = client.sessions.create_from_agent_id(client.agents.resolve_agent("writer").id)
        assert client.me().user_id == "admin"
        client.sessions.delete(session.id)
    assert server.stored()[server.url]["token"] != bad

    async def main() -> None:
        async with AsyncOmnigentClient(server.url, auth=StoredLogin(server.url)) as client:
            pages = await asyncio.gather(*(client.sessions.list() for _ in range(5)))
            assert len(pages) == 5

    spoil(server)
    asyncio.run(main())
    assert server.command("whoami").strip() == "admin"


def test_a_token_refused_for_good_says_so(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.sign_in()
    server.command("logins", "list")
    with OmnigentClient(server.url, auth=StoredLogin(server.url)) as client:
        mine = next(login for login in client.logins.list() if login.current)
        client.logins.end(mine.id)
        with pytest.raises(NotSignedIn, match="omnigent login"):
            client.sessions.list()
    # Nothing renews what comes from the environment.
    monkeypatch.setenv("OMNIGENT_REMOTE_AUTH_TOKEN", "ey.not.good")
    with OmnigentClient(server.url, auth=StoredLogin(server.url)) as client:
        with pytest.raises(Unauthorized):
            client.sessions.list()


def test_a_refusal_is_tried_again_once_and_only_for_its_token(tmp_path: Path) -> None:
    asked: list[str] = []

    class Transport(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            asked.append(request.url.path)
            if request.url.path == "/oauth/token":
                return httpx.Response(200, json={"access_token": "fresh", "expires_in": 3600})
            error = {"/refused": "invalid_token", "/scope": "insufficient_scope"}.get(request.url.path)
            headers = {"www-authenticate": f'Bearer realm="omnigent", error="{error}"' if error else "Bearer"}
            return httpx.Response(401, headers=headers)

    auth = plant("https://h.example", tmp_path, refresh_token="r")
    with httpx.Client(transport=Transport(), auth=auth) as client:
        assert client.get("https://h.example/refused").status_code == 401
        assert asked == ["/refused", "/oauth/token", "/refused"]
        asked.clear()
        assert client.get("https://h.example/other").status_code == 401
        assert client.get("https://h.example/scope").status_code == 401
        assert client.post("https://h.example/refused", content=iter([b"x"])).status_code == 401
        assert asked == ["/other", "/scope", "/refused"]


def test_under_asyncio_too(server: Server) -> None:
    server.sign_in()
    server.age(-5)

    async def main() -> None:
        async with AsyncOmnigentClient(server.url, auth=StoredLogin(server.url)) as client:
            mes = await asyncio.gather(*(client.me() for _ in range(5)))
            assert {me.user_id for me in mes} == {"admin"}

    asyncio.run(main())
    assert server.command("whoami").strip() == "admin"


def test_many_at_once_renew_once(server: Server) -> None:
    server.sign_in()
    server.age(-5)
    renewals: list[httpx.Request] = []

    def note(request: httpx.Request) -> None:
        if request.url.path == "/oauth/token":
            renewals.append(request)

    def work() -> None:
        with OmnigentClient(server.url, auth=StoredLogin(server.url)) as client:
            send = client._http._send_single_request  # under the auth flow: sees renewals too

            def noted(request: httpx.Request) -> httpx.Response:
                note(request)
                return send(request)

            client._http._send_single_request = noted  # type: ignore[method-assign]
            assert client.me().user_id == "admin"

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(renewals) == 1


def test_unknown_members_stay(server: Server) -> None:
    server.sign_in()
    entries = server.stored()
    entries[server.url]["note"] = {"deep": [1.0]}
    other = {"auth_type": "databricks", "workspace_host": "https://ws.example"}
    everything = {"https://ws.example": other, **entries}
    server.vault.write_text(json.dumps(everything, indent=2))
    server.age(-5)
    with OmnigentClient(server.url, auth=StoredLogin(server.url)) as client:
        client.me()
    after = server.stored()
    assert list(after) == ["https://ws.example", server.url]
    assert {**after["https://ws.example"], "expires_at": 0} == {**other, "expires_at": 0}
    assert after[server.url]["note"] == {"deep": [1.0]}


def test_what_has_ended_says_so(server: Server) -> None:
    with OmnigentClient(server.url, auth=StoredLogin(server.url)) as client:
        with pytest.raises(NotSignedIn):
            client.me()
        server.sign_in()
        assert client.me().user_id == "admin"
        server.age(-5)
        with OmnigentClient(server.url) as bare:
            entry = server.stored()[server.url]
            bare._http.post(f"{server.url}/oauth/revoke", data={"token": str(entry["refresh_token"])})
        with pytest.raises(NotSignedIn, match="omnigent login"):
            client.me()


def test_the_environment_beats_the_file(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.sign_in()
    token = server.command("token").strip()
    server.vault.unlink()
    monkeypatch.setenv("OMNIGENT_REMOTE_AUTH_TOKEN", token)
    with OmnigentClient(server.url, auth=StoredLogin(server.url)) as client:
        assert client.me().user_id == "admin"


def sent(auth: StoredLogin, url: str, answers: dict[str, httpx.Response] | None = None) -> httpx.Request:
    """The request as it would go out."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return (answers or {}).get(request.url.path, httpx.Response(200, json={}))

    with httpx.Client(transport=httpx.MockTransport(answer), auth=auth, follow_redirects=True) as client:
        client.get(url)
    return seen[-1]


def test_the_token_goes_to_its_own_origin_only(tmp_path: Path) -> None:
    auth = plant("https://auth.example.com", tmp_path)
    assert sent(auth, "https://auth.example.com/v1/me").headers["authorization"].endswith("token")
    for url in (
        "https://evil.example/v1/me",
        "http://auth.example.com/v1/me",
        "https://auth.example.com:444/v1/me",
        "https://auth.example.com.evil.example/",
    ):
        assert "authorization" not in sent(auth, url).headers
    away = {"/away": httpx.Response(302, headers={"location": "https://evil.example/"})}
    assert "authorization" not in sent(auth, "https://auth.example.com/away", away).headers
    assert "secret" not in repr(auth)


def test_a_server_that_renews_nonsense_changes_nothing(tmp_path: Path) -> None:
    for answer in (
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json={"access_token": None}),
        httpx.Response(200, json=[]),
        httpx.Response(302, headers={"location": "https://evil.example/"}),
        httpx.Response(500, json={"error": "x"}),
        httpx.Response(400, json={"error": "invalid_grant\x1b[2J"}),
    ):
        auth = plant("https://h.example", tmp_path, expires_at=0, refresh_token="r")
        before = (tmp_path / "auth_tokens.json").read_bytes()
        with httpx.Client(transport=httpx.MockTransport(lambda request: answer), auth=auth) as client:
            with pytest.raises(OmnigentError) as caught:
                client.get("https://h.example/")
        assert "\x1b" not in str(caught.value)
        assert (tmp_path / "auth_tokens.json").read_bytes() == before
    # It still does while it lasts.
    auth = plant("https://h.example", tmp_path, expires_at=time.time() + 30, refresh_token="r")
    answers = {"/oauth/token": httpx.Response(500)}
    assert sent(auth, "https://h.example/x", answers).headers["authorization"]


def test_a_file_others_could_have_touched_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "auth_tokens.json"
    auth = plant("https://h.example", tmp_path)
    path.chmod(0o644)
    with pytest.raises(VaultError, match="chmod 600"):
        sent(auth, "https://h.example/")
    for text in ("", "[]", '{"https://h.ex'):
        path.write_text(text)
        path.chmod(0o600)
        with pytest.raises(VaultError, match="damaged"):
            sent(auth, "https://h.example/")
    plant("https://h.example", tmp_path)
    os.rename(path, tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(VaultError):
        sent(auth, "https://h.example/")
    path.unlink()
    os.mkfifo(path, 0o600)
    with pytest.raises(VaultError, match="regular"):
        sent(auth, "https://h.example/")


@pytest.mark.parametrize(
    "address",
    ["http://auth.example.com", "http://192.0.2.1", "https://ada:x@h.example", "ftp://h", "", "https://"],
)
def test_an_address_that_would_leak_a_token_is_refused(address: str) -> None:
    with pytest.raises(AddressError):
        StoredLogin(address)


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("auth.example.com", "https://auth.example.com"),
        ("https://Auth.Example.com:443/", "https://auth.example.com"),
        ("https://h.example/c/abc", "https://h.example"),
        ("https://h.example/api/2.0/omnigent/", "https://h.example/api/2.0/omnigent"),
        ("127.0.0.1:6767", "http://127.0.0.1:6767"),
        ("http://[::1]:1/", "http://[::1]:1"),
    ],
)
def test_addresses_are_keyed_as_the_command_does(written: str, stored: str) -> None:
    assert key(written) == stored
