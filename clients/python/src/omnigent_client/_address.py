"""The address of a server, as people write it and as logins are stored under it.

The same rules as the command's (``core/cli/src/client/address.rs``).
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}


class AddressError(ValueError):
    """This is not the address of a server a token may be sent to."""


def is_loopback(host: str | None) -> bool:
    """Whether a host is this machine."""
    if not host:
        return False
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def key(address: str) -> str:
    """The key logins are stored under: scheme, host, port and path, without a slash at the end."""
    text = address.strip()
    if "://" not in text:
        host = urlsplit(f"//{text}").hostname
        text = f"{'http' if is_loopback(host) else 'https'}://{text}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise AddressError(f"not the address of a server: {error}") from None
    host = (parts.hostname or "").lower()
    if parts.scheme not in DEFAULT_PORTS or not host or any(c.isspace() for c in host):
        raise AddressError("the address of a server begins with http:// or https:// and names a host")
    if parts.username is not None or parts.password is not None:
        raise AddressError("a credential does not belong in an address")
    if parts.scheme == "http" and not is_loopback(host):
        raise AddressError("use https: everybody on the way could read the token")
    if not host.isascii():
        host = host.encode("idna").decode("ascii")
    shown = f"[{host}]" if ":" in host else host
    if port is not None and port != DEFAULT_PORTS[parts.scheme]:
        shown = f"{shown}:{port}"
    path = parts.path
    if "/c/" in path:
        path = path[: path.index("/c/")]
    return f"{parts.scheme}://{shown}{path.rstrip('/')}"


def origin(address: str) -> tuple[str, str, int]:
    """Scheme, host and port."""
    parts = urlsplit(address)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
