"""Every request of the API as a value, so that both clients send the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from ._types import (
    Agent,
    ApiToken,
    Info,
    IssuedToken,
    Login,
    Me,
    Page,
    Permission,
    Session,
    SessionListItem,
)

T = TypeVar("T")
Json = dict[str, Any]


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request, and what its answer is."""

    method: str
    path: str
    parse: Callable[[Json], T]
    params: dict[str, str | int] = field(default_factory=dict)
    body: Json | None = None


def _nothing(_: Json) -> None:
    return None


def _given(**members: object) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _rows(raw: Json, name: str = "data") -> list[Json]:
    rows = raw.get(name)
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _segment(text: str) -> str:
    return quote(text, safe="")


def _session_path(session_id: str, rest: str = "") -> str:
    return f"/v1/sessions/{_segment(session_id)}{rest}"


def me() -> Call[Me]:
    return Call(
        "GET", "/v1/me", lambda raw: Me(raw.get("user_id"), raw.get("is_admin") is True)
    )


def info() -> Call[Info]:
    return Call("GET", "/v1/info", Info.from_dict)


# --- sessions


def list_sessions(
    limit: int,
    after: str | None,
    before: str | None,
    agent_id: str | None,
    agent_name: str | None,
    order: str,
    sort_by: str,
    include_archived: bool,
    search_query: str | None,
) -> Call[Page[SessionListItem]]:
    params: dict[str, str | int] = {"limit": limit, "order": order, "sort_by": sort_by}
    params |= _given(
        after=after,
        before=before,
        agent_id=agent_id,
        agent_name=agent_name,
        include_archived="true" if include_archived else None,
        search_query=search_query,
    )

    def parse(raw: Json) -> Page[SessionListItem]:
        return Page((SessionListItem.from_dict(row) for row in _rows(raw)), raw)

    return Call("GET", "/v1/sessions", parse, params)


def get_session(session_id: str) -> Call[Session]:
    return Call("GET", _session_path(session_id), Session.from_dict)


def create_session(agent_id: str, **members: object) -> Call[Session]:
    body = {"agent_id": agent_id, **_given(**members)}
    return Call("POST", "/v1/sessions", Session.from_dict, body=body)


def update_session(session_id: str, **members: object) -> Call[Session]:
    return Call("PATCH", _session_path(session_id), Session.from_dict, body=_given(**members))


def delete_session(session_id: str) -> Call[None]:
    return Call("DELETE", _session_path(session_id), _nothing)


def session_items(session_id: str) -> Call[Page[Json]]:
    return Call("GET", _session_path(session_id, "/items"), lambda raw: Page(_rows(raw), raw))


def permissions(session_id: str) -> Call[list[Permission]]:
    def parse(raw: Json) -> list[Permission]:
        return [Permission.from_dict(row) for row in _rows(raw, "permissions")]

    return Call("GET", _session_path(session_id, "/permissions"), parse)


def share(session_id: str, user_id: str, level: int) -> Call[Permission]:
    body = {"user_id": user_id, "level": level}
    path = _session_path(session_id, "/permissions")
    return Call("PUT", path, Permission.from_dict, body=body)


def unshare(session_id: str, user_id: str) -> Call[None]:
    path = _session_path(session_id, f"/permissions/{_segment(user_id)}")
    return Call("DELETE", path, _nothing)


# --- agents


def list_agents(limit: int, after: str | None) -> Call[Page[Agent]]:
    def parse(raw: Json) -> Page[Agent]:
        return Page((Agent.from_dict(row) for row in _rows(raw)), raw)

    params: dict[str, str | int] = {"limit": limit, **_given(after=after)}
    return Call("GET", "/v1/agents", parse, params)


# --- API tokens


def create_token(name: str, **members: object) -> Call[IssuedToken]:
    body = {"name": name, **_given(**members)}
    return Call("POST", "/auth/tokens", IssuedToken.from_dict, body=body)


def list_tokens() -> Call[list[ApiToken]]:
    def parse(raw: Json) -> list[ApiToken]:
        return [ApiToken.from_dict(row) for row in _rows(raw, "tokens")]

    return Call("GET", "/auth/tokens", parse)


def rotate_token(token_id: str, overlap_seconds: int | None) -> Call[IssuedToken]:
    path = f"/auth/tokens/{_segment(token_id)}/rotate"
    return Call("POST", path, IssuedToken.from_dict, body=_given(overlap_seconds=overlap_seconds))


def revoke_token(token_id: str) -> Call[None]:
    return Call("DELETE", f"/auth/tokens/{_segment(token_id)}", _nothing)


# --- logins


def list_logins() -> Call[list[Login]]:
    def parse(raw: Json) -> list[Login]:
        return [Login.from_dict(row) for row in _rows(raw, "logins")]

    return Call("GET", "/auth/logins", parse)


def end_login(login_id: str) -> Call[None]:
    return Call("DELETE", f"/auth/logins/{_segment(login_id)}", _nothing)


def end_other_logins() -> Call[None]:
    return Call("DELETE", "/auth/logins", _nothing)
