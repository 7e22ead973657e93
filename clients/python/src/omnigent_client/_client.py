"""The two clients: one for asyncio, one for everything else."""

from __future__ import annotations

from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from . import _address, _calls
from ._async import AsyncAgents, AsyncLogins, AsyncSessions, AsyncTokens
from ._calls import Call
from ._errors import OmnigentError, Unreachable, error_of
from ._sync import Agents, Logins, Sessions, Tokens
from ._types import Info, Me

T = TypeVar("T")

ORIGIN = "omnigent://internal"
"""The origin of programs, which is nobody's web page; the server accepts it for writing."""


def _settings(
    base_url: str, headers: dict[str, str] | None, auth: httpx.Auth | None, timeout: float
) -> dict[str, Any]:
    return {
        "headers": {"Origin": ORIGIN, "Accept": "application/json", **(headers or {})},
        "auth": auth,
        "timeout": httpx.Timeout(timeout),
        # A credential must not go along to where a server sends.
        "follow_redirects": False,
        # A proxy would look for the server on its own machine.
        "trust_env": not _address.is_loopback(urlsplit(base_url).hostname),
    }


def _value(call: Call[T], response: httpx.Response) -> T:
    if not response.is_success:
        raise error_of(response)
    if response.status_code == 204 or not response.content:
        return call.parse({})
    request_id = response.headers.get("x-request-id")
    try:
        raw = response.json()
        if isinstance(raw, dict):
            return call.parse(raw)
    except (ValueError, KeyError, TypeError):
        pass
    text = f"the answer to {call.method} {call.path} makes no sense; is this an omnigent server?"
    raise OmnigentError(text, response.status_code, None, request_id)


class OmnigentClient:
    """A client of one server.

    ::

        with OmnigentClient("https://auth.example.com", auth=StoredLogin("https://auth.example.com")) as client:
            for session in client.sessions.list():
                print(session.id, session.title)

    :param base_url: The server's address.
    :param headers: Sent with every request; an API token as ``{"Authorization": "Bearer …"}``, say.
    :param auth: Handed to httpx unchanged: :class:`StoredLogin`, or any other.
    :param timeout: Seconds a request may take.
    """

    def __init__(
        self,
        base_url: str,
        headers: dict[str, str] | None = None,
        auth: httpx.Auth | None = None,
        timeout: float = 30.0,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._http = httpx.Client(**_settings(self._base_url, headers, auth, timeout))
        self.sessions = Sessions(self._run)
        self.agents = Agents(self._run)
        self.tokens = Tokens(self._run)
        self.logins = Logins(self._run)

    def me(self) -> Me:
        """As whom the server knows the caller."""
        return self._run(_calls.me())

    def info(self) -> Info:
        """What the server tells everybody about itself."""
        return self._run(_calls.info())

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def __enter__(self) -> OmnigentClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self, call: Call[T]) -> T:
        try:
            response = self._http.request(
                call.method, self._base_url + call.path, params=call.params or None, json=call.body
            )
        except httpx.TransportError as error:
            raise Unreachable(f"{self._base_url} cannot be reached: {error}") from error
        return _value(call, response)


class AsyncOmnigentClient:
    """As :class:`OmnigentClient`, under asyncio."""

    def __init__(
        self,
        base_url: str,
        headers: dict[str, str] | None = None,
        auth: httpx.Auth | None = None,
        timeout: float = 30.0,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._http = httpx.AsyncClient(**_settings(self._base_url, headers, auth, timeout))
        self.sessions = AsyncSessions(self._run)
        self.agents = AsyncAgents(self._run)
        self.tokens = AsyncTokens(self._run)
        self.logins = AsyncLogins(self._run)

    async def me(self) -> Me:
        """As whom the server knows the caller."""
        return await self._run(_calls.me())

    async def info(self) -> Info:
        """What the server tells everybody about itself."""
        return await self._run(_calls.info())

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> AsyncOmnigentClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _run(self, call: Call[T]) -> T:
        try:
            response = await self._http.request(
                call.method, self._base_url + call.path, params=call.params or None, json=call.body
            )
        except httpx.TransportError as error:
            raise Unreachable(f"{self._base_url} cannot be reached: {error}") from error
        return _value(call, response)
