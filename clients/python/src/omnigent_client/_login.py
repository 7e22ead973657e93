"""The login that ``omnigent login`` stored, as an ``httpx.Auth``."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import time
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import TypeVar, Union

import httpx

from . import _address
from ._errors import NotSignedIn, Unreachable, error_of, plain
from ._vault import MARGIN, StoredEntry, Vault

VARIABLE = "OMNIGENT_REMOTE_AUTH_TOKEN"
_PAUSE = 0.05
_PATIENCE = 60.0
_FALLBACK_LIFETIME = 8 * 3600.0

T = TypeVar("T")
Steps = Generator[Union[httpx.Request, float], Union[httpx.Response, None], T]


class StoredLogin(httpx.Auth):
    """Sends the login stored for ``server``, and renews it when it is about to end, or when the server
    refuses it before its time: then the request is sent once more.

    Under asyncio and without it, and together with any number of other processes: they share the
    command's lock, so that one renews and the others find its result. ``OMNIGENT_REMOTE_AUTH_TOKEN``
    beats what is stored.

    The token goes to ``server`` and nowhere else: a request to another origin is sent without it.

    :param server: The server, as in ``omnigent login URL``.
    :param directory: Where the logins are, in place of ``$OMNIGENT_DATA_DIR`` or ``~/.omnigent``.
    :raises AddressError: If it is not https, nor this machine.
    """

    def __init__(self, server: str, *, directory: str | os.PathLike[str] | None = None) -> None:
        self._server = _address.key(server)
        self._origin = _address.origin(self._server)
        self._vault = Vault(Path(directory) if directory is not None else None)

    def __repr__(self) -> str:
        return f"StoredLogin({self._server!r})"

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        with contextlib.closing(self._steps(request)) as steps:
            step = next(steps)
            with contextlib.suppress(StopIteration):
                while True:
                    if isinstance(step, float):
                        time.sleep(step)
                        step = steps.send(None)
                        continue
                    response = yield step
                    if step is not request:
                        response.read()
                    step = steps.send(response)

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        with contextlib.closing(self._steps(request)) as steps:
            step = next(steps)
            # A StopIteration may not leave an asynchronous generator.
            with contextlib.suppress(StopIteration):
                while True:
                    if isinstance(step, float):
                        await asyncio.sleep(step)
                        step = steps.send(None)
                        continue
                    response = yield step
                    if step is not request:
                        await response.aread()
                    step = steps.send(response)

    def _steps(self, request: httpx.Request) -> Steps[None]:
        """What is to be done for a request, for whoever can wait and send: seconds to wait, or a
        request to be sent, whose answer comes back.
        """
        if not self._is_meant(request):
            yield request
            return
        token = yield from self._token(None)
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if response is None or not _is_refused(response):
            return
        # A body that is made while it is sent cannot be sent again.
        if not isinstance(request.stream, httpx.ByteStream) or self._usable(token) == token:
            return
        token = yield from self._token(token)
        request.headers["Authorization"] = f"Bearer {token}"
        # Also with the same one: the answer to the renewal is none to the request.
        yield request

    def _token(self, refused: str | None) -> Steps[str]:
        """A token to send; another one than the ``refused``, if there is one to be had."""
        token = self._usable(refused)
        until = time.monotonic() + _PATIENCE
        while token is None:
            with self._vault.try_lock() as is_held:
                if is_held:
                    renewal = self._renewal(refused)
                    if isinstance(renewal, str):
                        token = renewal
                    else:
                        response = yield renewal
                        if response is not None:
                            token = self._renewed(response, refused)
            if token is None:
                self._give_up_at(until)
                yield _PAUSE
        return token

    def _is_meant(self, request: httpx.Request) -> bool:
        """Whether the token may go along: to its own server, and not in place of another one."""
        return _address.origin(str(request.url)) == self._origin and (
            "authorization" not in request.headers
        )

    def _usable(self, refused: str | None) -> str | None:
        """The token that can be sent as it is; ``None`` when it must be renewed first."""
        from_environment = os.environ.get(VARIABLE, "").strip()
        if from_environment:
            return from_environment
        entry = self._stored()
        if refused is not None:
            # Somebody else may have renewed it meanwhile.
            return None if entry.token == refused and entry.refresh_token else entry.token
        if entry.lasts(MARGIN) or (entry.refresh_token is None and entry.lasts(0)):
            return entry.token
        if entry.refresh_token is None:
            raise NotSignedIn(f"the login has expired; omnigent login {self._server}")
        return None

    def _stored(self) -> StoredEntry:
        entry = self._vault.get(self._server)
        if entry is None:
            raise NotSignedIn(f"not signed in; omnigent login {self._server}")
        return entry

    def _renewal(self, refused: str | None) -> httpx.Request | str:
        """The request that renews the login, or its token when somebody else just did."""
        entry = self._stored()
        is_good = entry.lasts(MARGIN) and entry.token != refused
        if is_good or entry.refresh_token is None:
            return entry.token
        form = {"grant_type": "refresh_token", "refresh_token": entry.refresh_token}
        return httpx.Request("POST", f"{self._server}/oauth/token", data=form)

    def _renewed(self, response: httpx.Response, refused: str | None) -> str:
        entry = self._stored()
        if not response.is_success:
            has_ended = refused is not None and response.status_code in (400, 401)
            if entry.lasts(0) and not has_ended:
                # It does for now: whatever is wrong may be over when it is not any more.
                return entry.token
            error = error_of(response)
            if response.status_code in (400, 401):
                why = plain(error.code or error.message)
                raise NotSignedIn(f"the login has ended ({why}); omnigent login {self._server}")
            raise error
        try:
            body = response.json()
            token, refresh = body["access_token"], body.get("refresh_token")
        except (ValueError, KeyError, TypeError, AttributeError):
            token, refresh, body = None, None, {}
        if not isinstance(token, str) or not token:
            raise Unreachable("the server's answer to a renewal makes no sense")
        lifetime = _lifetime(body.get("expires_in"))
        kept = refresh if isinstance(refresh, str) and refresh else None
        self._vault.put(self._server, token, time.time() + lifetime, kept)
        return token

    def _give_up_at(self, until: float) -> None:
        if time.monotonic() > until:
            raise Unreachable("another process is renewing the login and does not end")


def _is_refused(response: httpx.Response) -> bool:
    """Whether the token, and not what was asked with it, is no good (RFC 6750 section 3.1)."""
    challenge = response.headers.get("www-authenticate", "")
    return response.status_code == 401 and 'error="invalid_token"' in challenge


def _lifetime(value: object) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if math.isfinite(value) and 0 <= value < 1e10:
            return float(value)
    return _FALLBACK_LIFETIME
