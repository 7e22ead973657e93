"""What can go wrong, one class for each thing a caller would do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

_LONGEST = 400


@dataclass(frozen=True)
class Fault:
    """One fault of a request's shape: where, and what."""

    loc: tuple[str | int, ...]
    type: str
    message: str


class OmnigentError(Exception):
    """The base of all errors of this package.

    ``status_code`` and ``code`` are the server's, if it answered; ``request_id`` is what its log knows
    the request by.
    """

    def __init__(
        self,
        message: str,
        status_code: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message if request_id is None else f"{message} (request {request_id})")
        self.message = message
        self.status_code = status_code
        self.code = code
        self.request_id = request_id


class NotSignedIn(OmnigentError):
    """No login is stored for this server, or it has ended: ``omnigent login URL``."""


class Unreachable(OmnigentError):
    """The server did not answer."""


class Redirected(OmnigentError):
    """The server sends elsewhere, which is not followed: a credential must not go along."""


class BadRequest(OmnigentError):
    """400: the server understood the request and will not have it."""


class Unauthorized(OmnigentError):
    """401: no credential, or one that is not accepted any more."""


class Forbidden(OmnigentError):
    """403: the credential is good and does not reach this."""


class NotFound(OmnigentError):
    """404, or 410: there is no such thing, or it is not shared with you."""


class Conflict(OmnigentError):
    """409: it exists already, or has changed meanwhile."""


class InvalidRequest(OmnigentError):
    """422 (or 405, 415): the request has the wrong shape; ``faults`` names each place."""

    faults: tuple[Fault, ...] = ()


class Throttled(OmnigentError):
    """429: wait ``retry_after`` seconds."""

    retry_after: float | None = None


class ServerError(OmnigentError):
    """5xx: the server cannot tell right now; ``retry_after`` if it says when it can."""

    retry_after: float | None = None


_CLASSES: dict[int, type[OmnigentError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    405: InvalidRequest,
    409: Conflict,
    410: NotFound,
    415: InvalidRequest,
    422: InvalidRequest,
    429: Throttled,
}


def error_of(response: httpx.Response) -> OmnigentError:
    """The error an unsuccessful answer means, whichever of the three shapes it has."""
    status = response.status_code
    code, message, faults = _read(response)
    if response.is_redirect:
        kind: type[OmnigentError] = Redirected
    elif status >= 500:
        kind = ServerError
    else:
        kind = _CLASSES.get(status, OmnigentError)
    text = plain(message or f"the server answered {status}")
    error = kind(text, status, code, response.headers.get("x-request-id"))
    if isinstance(error, InvalidRequest):
        error.faults = faults
    if isinstance(error, (Throttled, ServerError)):
        error.retry_after = _seconds(response.headers.get("retry-after"))
    return error


def plain(text: str) -> str:
    """Text of a server without what could steer a terminal."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text[:_LONGEST])


def _read(response: httpx.Response) -> tuple[str | None, str | None, tuple[Fault, ...]]:
    try:
        body = response.json()
    except ValueError:
        return None, None, ()
    if not isinstance(body, dict):
        return None, None, ()
    error, detail = body.get("error"), body.get("detail")
    if isinstance(error, dict):
        return _text(error.get("code")), _text(error.get("message")), ()
    if isinstance(error, str):
        return error, _text(body.get("error_description")) or error, ()
    if isinstance(detail, str):
        return None, detail, ()
    if isinstance(detail, list):
        faults = tuple(_fault(item) for item in detail if isinstance(item, dict))
        said = "; ".join(f"{'.'.join(map(str, f.loc))}: {f.message}" for f in faults)
        return None, said, faults
    return None, None, ()


def _fault(item: dict[str, Any]) -> Fault:
    loc = item.get("loc")
    places = tuple(p for p in loc if isinstance(p, (str, int))) if isinstance(loc, list) else ()
    return Fault(places, str(item.get("type", "")), str(item.get("msg", "")))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _seconds(value: str | None) -> float | None:
    try:
        return float(value) if value is not None else None
    except ValueError:
        return None
