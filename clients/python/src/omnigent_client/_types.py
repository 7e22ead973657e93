"""What the server answers, typed. Members of newer servers are in ``raw``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")


class Page(list[T]):
    """Rows of a listing, and how to go on: ``list(after=page.last_id)`` while ``page.has_more``."""

    def __init__(self, rows: Iterable[T], raw: dict[str, Any]) -> None:
        super().__init__(rows)
        self.first_id: str | None = raw.get("first_id")
        self.last_id: str | None = raw.get("last_id")
        self.has_more: bool = raw.get("has_more") is True


@dataclass(frozen=True)
class Me:
    """As whom the server knows the caller."""

    user_id: str | None
    is_admin: bool


@dataclass(frozen=True)
class Info:
    """What a server tells everybody about itself."""

    server_version: str | None
    auth_mode: str | None
    login_url: str | None
    accounts_enabled: bool
    single_user: bool
    needs_setup: bool
    raw: dict[str, Any] = field(repr=False, default_factory=dict)

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Info:
        return cls(
            server_version=raw.get("server_version"),
            auth_mode=raw.get("auth_mode"),
            login_url=raw.get("login_url"),
            accounts_enabled=bool(raw.get("accounts_enabled")),
            single_user=bool(raw.get("single_user")),
            needs_setup=bool(raw.get("needs_setup")),
            raw=raw,
        )


@dataclass(frozen=True)
class Agent:
    """An agent sessions can be made of."""

    id: str
    name: str
    description: str | None = None
    harness: str | None = None
    raw: dict[str, Any] = field(repr=False, default_factory=dict)

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Agent:
        return cls(
            id=str(raw["id"]),
            name=str(raw.get("name") or ""),
            description=raw.get("description"),
            harness=raw.get("harness"),
            raw=raw,
        )


@dataclass(frozen=True)
class RegisteredAgent:
    """An agent found by its name."""

    id: str
    harness: str | None = None


@dataclass(frozen=True)
class SessionListItem:
    """A session, as listings show it."""

    id: str
    agent_id: str
    status: str
    created_at: int
    updated_at: int
    title: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    agent_name: str | None = None
    owner: str | None = None
    permission_level: int | None = None
    reasoning_effort: str | None = None
    external_session_id: str | None = None
    runner_id: str | None = None
    archived: bool = False
    raw: dict[str, Any] = field(repr=False, default_factory=dict)

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> SessionListItem:
        return cls(
            id=str(raw["id"]),
            agent_id=str(raw["agent_id"]),
            status=str(raw["status"]),
            created_at=int(raw["created_at"]),
            updated_at=int(raw["updated_at"]),
            title=raw.get("title"),
            labels=_labels(raw),
            agent_name=raw.get("agent_name"),
            owner=raw.get("owner"),
            permission_level=raw.get("permission_level"),
            reasoning_effort=raw.get("reasoning_effort"),
            external_session_id=raw.get("external_session_id"),
            runner_id=raw.get("runner_id"),
            archived=bool(raw.get("archived")),
            raw=raw,
        )


@dataclass(frozen=True)
class Session:
    """A session as a whole."""

    id: str
    agent_id: str
    status: str
    created_at: int
    updated_at: int | None = None
    agent_name: str | None = None
    title: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    reasoning_effort: str | None = None
    model_override: str | None = None
    workspace: str | None = None
    parent_session_id: str | None = None
    external_session_id: str | None = None
    runner_id: str | None = None
    permission_level: int | None = None
    archived: bool = False
    items: list[dict[str, Any]] = field(default_factory=list)
    raw: dict[str, Any] = field(repr=False, default_factory=dict)

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Session:
        items = raw.get("items")
        return cls(
            id=str(raw["id"]),
            agent_id=str(raw["agent_id"]),
            status=str(raw["status"]),
            created_at=int(raw["created_at"]),
            updated_at=raw.get("updated_at"),
            agent_name=raw.get("agent_name"),
            title=raw.get("title"),
            labels=_labels(raw),
            reasoning_effort=raw.get("reasoning_effort"),
            model_override=raw.get("model_override"),
            workspace=raw.get("workspace"),
            parent_session_id=raw.get("parent_session_id"),
            external_session_id=raw.get("external_session_id"),
            runner_id=raw.get("runner_id"),
            permission_level=raw.get("permission_level"),
            archived=bool(raw.get("archived")),
            items=items if isinstance(items, list) else [],
            raw=raw,
        )


@dataclass(frozen=True)
class Permission:
    """Who shares in a session: level 1 reads, 2 edits, 3 manages, 4 owns."""

    user_id: str
    level: int

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Permission:
        return cls(user_id=str(raw["user_id"]), level=int(raw["level"]))


@dataclass(frozen=True)
class ApiToken:
    """An API token, without its text."""

    id: str
    name: str
    scope: str | None
    created_at: int
    expires_at: int | None
    last_used_at: int | None = None
    last_used_ip: str | None = None

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> ApiToken:
        return cls(**_token(raw))


@dataclass(frozen=True)
class IssuedToken(ApiToken):
    """A token that has just been made. Its text is shown this once, and not by ``repr``."""

    token: str = field(repr=False, default="")

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> IssuedToken:
        return cls(token=str(raw["token"]), **_token(raw))


@dataclass(frozen=True)
class Login:
    """A signed-in stay on one device."""

    id: str
    created_at: int
    expires_at: int
    backend: str | None
    address: str | None
    user_agent: str | None
    current: bool
    client_id: str | None = None

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Login:
        return cls(
            id=str(raw["id"]),
            created_at=int(raw["created_at"]),
            expires_at=int(raw["expires_at"]),
            backend=raw.get("backend"),
            address=raw.get("address"),
            user_agent=raw.get("user_agent"),
            current=raw.get("current") is True,
            client_id=raw.get("client_id"),
        )


def _labels(raw: dict[str, Any]) -> dict[str, str]:
    labels = raw.get("labels")
    return labels if isinstance(labels, dict) else {}


def _token(raw: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": str(raw["id"]),
        "name": str(raw.get("name") or ""),
        "scope": raw.get("scope"),
        "created_at": int(raw["created_at"]),
        "expires_at": raw.get("expires_at"),
        "last_used_at": raw.get("last_used_at"),
        "last_used_ip": raw.get("last_used_ip"),
    }
