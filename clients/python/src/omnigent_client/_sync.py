"""The parts of the API, for programs without asyncio. Its twin ``_async`` has the same methods."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from typing import Any, Protocol, TypeVar

from . import _calls
from ._calls import Call
from ._types import (
    Agent,
    ApiToken,
    IssuedToken,
    Login,
    Page,
    Permission,
    RegisteredAgent,
    Session,
    SessionListItem,
)

T = TypeVar("T")


class Run(Protocol):
    """Sends a call and gives what its answer is."""

    def __call__(self, call: Call[T]) -> T: ...


class Agents:
    """``client.agents``: what sessions can be made of."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def list(self, *, limit: int = 20, after: str | None = None) -> Page[Agent]:
        """A page of the agents."""
        return self._run(_calls.list_agents(limit, after))

    def iterate(self) -> Iterator[Agent]:
        """All agents, page by page."""
        after: str | None = None
        while True:
            page = self._run(_calls.list_agents(1000, after))
            for agent in page:
                yield agent
            if not page.has_more or page.last_id in (None, after):
                return
            after = page.last_id

    def get(self, agent_id: str) -> Agent:
        """The agent of this id. The server lists agents and shows none alone, so they are gone through.

        :raises LookupError: If there is none.
        """
        wanted = agent_id.lower().removeprefix("ag_")
        for agent in self.iterate():
            if agent.id == wanted:
                return agent
        raise LookupError(f"there is no agent {agent_id!r}")

    def resolve_agent(self, agent_name: str) -> RegisteredAgent:
        """The id of the agent of this name.

        :raises LookupError: If there is none.
        """
        for agent in self.iterate():
            if agent.name == agent_name:
                return RegisteredAgent(agent.id, agent.harness)
        raise LookupError(f"there is no agent named {agent_name!r}")


class Sessions:
    """``client.sessions``: one's own sessions, and those one shares in."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._agents = Agents(run)

    def list(
        self,
        *,
        limit: int = 20,
        after: str | None = None,
        before: str | None = None,
        agent_id: str | None = None,
        agent_name: str | None = None,
        order: str = "desc",
        sort_by: str = "created_at",
        include_archived: bool = False,
        search_query: str | None = None,
    ) -> Page[SessionListItem]:
        """A page of sessions, newest first."""
        call = _calls.list_sessions(
            limit, after, before, agent_id, agent_name, order, sort_by, include_archived, search_query
        )
        return self._run(call)

    def get(self, session_id: str) -> Session:
        """A session. One that is not shared with you is not found."""
        return self._run(_calls.get_session(session_id))

    def create_from_agent_id(
        self,
        agent_id: str,
        *,
        title: str | None = None,
        labels: dict[str, str] | None = None,
        reasoning_effort: str | None = None,
        model_override: str | None = None,
        workspace: str | None = None,
        parent_session_id: str | None = None,
    ) -> Session:
        """Makes a session of an agent."""
        call = _calls.create_session(
            agent_id,
            title=title,
            labels=labels,
            reasoning_effort=reasoning_effort,
            model_override=model_override,
            workspace=workspace,
            parent_session_id=parent_session_id,
        )
        return self._run(call)

    def update(
        self,
        session_id: str,
        *,
        title: str | None = None,
        labels: dict[str, str] | None = None,
        reasoning_effort: str | None = None,
        model_override: str | None = None,
        archived: bool | None = None,
        external_session_id: str | None = None,
    ) -> Session:
        """Changes what is given. Labels are added to those there are; effort and model are cleared
        with ``"default"``.
        """
        call = _calls.update_session(
            session_id,
            title=title,
            labels=labels,
            reasoning_effort=reasoning_effort,
            model_override=model_override,
            archived=archived,
            external_session_id=external_session_id,
        )
        return self._run(call)

    def delete(self, session_id: str) -> None:
        """Deletes a session one owns."""
        self._run(_calls.delete_session(session_id))

    def items(self, session_id: str) -> Page[dict[str, Any]]:
        """What has been said in a session."""
        return self._run(_calls.session_items(session_id))

    def permissions(self, session_id: str) -> builtins.list[Permission]:
        """Who shares in a session."""
        return self._run(_calls.permissions(session_id))

    def share(self, session_id: str, user_id: str, level: int = 1) -> Permission:
        """Lets somebody read (1), edit (2) or manage (3) a session."""
        return self._run(_calls.share(session_id, user_id, level))

    def unshare(self, session_id: str, user_id: str) -> None:
        """Takes somebody's share away."""
        self._run(_calls.unshare(session_id, user_id))

    def resolve_agent(self, agent_name: str) -> RegisteredAgent:
        """The id of the agent of this name; as ``client.agents.resolve_agent``."""
        return self._agents.resolve_agent(agent_name)


class Tokens:
    """``client.tokens``: one's own API tokens."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def create(
        self, name: str, *, expires_in_days: int | None = None, scope: str | None = None
    ) -> IssuedToken:
        """Makes a token. ``token`` of the answer is its text, shown this once."""
        call = _calls.create_token(name, expires_in_days=expires_in_days, scope=scope)
        return self._run(call)

    def list(self) -> builtins.list[ApiToken]:
        """All of one's tokens."""
        return self._run(_calls.list_tokens())

    def rotate(self, token_id: str, *, overlap_seconds: int | None = None) -> IssuedToken:
        """Makes a successor. The old one goes on for the overlap."""
        return self._run(_calls.rotate_token(token_id, overlap_seconds))

    def revoke(self, token_id: str) -> None:
        """Ends a token: it is refused from now on."""
        self._run(_calls.revoke_token(token_id))


class Logins:
    """``client.logins``: where one is signed in."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def list(self) -> builtins.list[Login]:
        """All of one's logins."""
        return self._run(_calls.list_logins())

    def end(self, login_id: str) -> None:
        """Ends a login: of a lost laptop, say."""
        self._run(_calls.end_login(login_id))

    def end_others(self) -> None:
        """Ends all logins but this one."""
        self._run(_calls.end_other_logins())
