"""A typed client of omnigent's API, with the login that ``omnigent login`` stored.

Start with :class:`OmnigentClient`, or :class:`AsyncOmnigentClient` under asyncio.
"""

from ._address import AddressError
from ._client import AsyncOmnigentClient, OmnigentClient
from ._errors import (
    BadRequest,
    Conflict,
    Fault,
    Forbidden,
    InvalidRequest,
    NotFound,
    NotSignedIn,
    OmnigentError,
    Redirected,
    ServerError,
    Throttled,
    Unauthorized,
    Unreachable,
)
from ._login import StoredLogin
from ._types import (
    Agent,
    ApiToken,
    Info,
    IssuedToken,
    Login,
    Me,
    Page,
    Permission,
    RegisteredAgent,
    Session,
    SessionListItem,
)
from ._vault import VaultError

__version__ = "0.1.0"

__all__ = [
    "AddressError",
    "Agent",
    "ApiToken",
    "AsyncOmnigentClient",
    "BadRequest",
    "Conflict",
    "Fault",
    "Forbidden",
    "Info",
    "InvalidRequest",
    "IssuedToken",
    "Login",
    "Me",
    "NotFound",
    "NotSignedIn",
    "OmnigentClient",
    "OmnigentError",
    "Page",
    "Permission",
    "Redirected",
    "RegisteredAgent",
    "ServerError",
    "Session",
    "SessionListItem",
    "StoredLogin",
    "Throttled",
    "Unauthorized",
    "Unreachable",
    "VaultError",
]
