"""The parts of the API, for asyncio. Its twin ``_sync`` has the same methods."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator, Awaitable
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


class AsyncRun(Protocol):
    """Sends a call and gives what its answer is."""

    def __call__(self, call: Call[T]) -> Awaitable[T]: ...


class AsyncAgents:
    """``client.agents``: what sessions can be made of."""

    def __init__(self, run: AsyncRun) -> None:
        self._run = run

    async def list(self, *, limit: int = 20, after: str | None = None) -> Page[Agent]:
        """A page of the agents."""
        return await self._run(_calls.list_agents(limit, after))

    async def iterate(self) -> AsyncIterator[Agent]:
        """All agents, page by page."""
        after: str | None = None
        while True:
            page = await self._run(_calls.list_agents(1000, after))
            for agent in page:
                yield agent
            if not page.has_more or page.last_id in (None, after):
                return
            after = page.last_id

    async def get(self, agent_id: str) -> Agent:
        """The agent of this id. The server lists agents and shows none alone, so they are gone through.

        :raises LookupError: If there is none.
        """
        wanted = agent_id.lower().removeprefix("ag_")
        async for agent in self.iterate():
            if agent.id == wanted:
                return agent
        raise LookupError(f"there is no agent {agent_id!r}")

    async def resolve_agent(self, agent_name: str) -> RegisteredAgent:
        """The id of the agent of this name.

        :raises LookupError: If there is none.
        """
        async for agent in self.iterate():
            if agent.name == agent_name:
                return RegisteredAgent(agent.id, agent.harness)
        raise LookupError(f"there is no agent named {agent_name!r}")


class AsyncSessions:
    """``client.sessions``: one's own sessions, and those one shares in."""

    def __init__(self, run: AsyncRun) -> None:
        self._run = run
        self._agents = AsyncAgents(run)

    async def list(
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
        return await self._run(call)

    async def get(self, session_id: str) -> Session:
        """A session. One that is not shared with you is not found."""
        return await self._run(_calls.get_session(session_id))

    async def create_from_agent_id(
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
        return await self._run(call)

    async def update(
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
        return await self._run(call)

    async def delete(self, session_id: str) -> None:
        """Deletes a session one owns."""
        await self._run(_calls.delete_session(session_id))

    async def items(self, session_id: str) -> Page[dict[str, Any]]:
        """What has been said in a session."""
        return await self._run(_calls.session_items(session_id))

    async def permissions(self, session_id: str) -> builtins.list[Permission]:
        """Who shares in a session."""
        return await self._run(_calls.permissions(session_id))

    async def share(self, session_id: str, user_id: str, level: int = 1) -> Permission:
        """Lets somebody read (1), edit (2) or manage (3) a session."""
        return await self._run(_calls.share(session_id, user_id, level))

    async def unshare(self, session_id: str, user_id: str) -> None:
        """Takes somebody's share away."""
        await self._run(_calls.unshare(session_id, user_id))

    async def resolve_agent(self, agent_name: str) -> RegisteredAgent:
        """The id of the agent of this name; as ``client.agents.resolve_agent``."""
        return await self._agents.resolve_agent(agent_name)


class AsyncTokens:
    """``client.tokens``: one's own API tokens."""

    def __init__(self, run: AsyncRun) -> None:
        self._run = run

    async def create(
        self, name: str, *, expires_in_days: int | None = None, scope: str | None = None
    ) -> IssuedToken:
        """Makes a token. ``token`` of the answer is its text, shown this once."""
        call = _calls.create_token(name, expires_in_days=expires_in_days, scope=scope)
        return await self._run(call)

    async def list(self) -> builtins.list[ApiToken]:
        """All of one's tokens."""
        return await self._run(_calls.list_tokens())

    async def rotate(self, token_id: str, *, overlap_seconds: int | None = None) -> IssuedToken:
        """Makes a successor. The old one goes on for the overlap."""
        return await self._run(_calls.rotate_token(token_id, overlap_seconds))

    async def revoke(self, token_id: str) -> None:
        """Ends a token: it is refused from now on."""
        await self._run(_calls.revoke_token(token_id))


class AsyncLogins:
    """``client.logins``: where one is signed in."""

    def __init__(self, run: AsyncRun) -> None:
        self._run = run

    async def list(self) -> builtins.list[Login]:
        """All of one's logins."""
        return await self._run(_calls.list_logins())

    async def end(self, login_id: str) -> None:
        """Ends a login: of a lost laptop, say."""
        await self._run(_calls.end_login(login_id))

    async def end_others(self) -> None:
        """Ends all logins but this one."""
        await self._run(_calls.end_other_logins())
