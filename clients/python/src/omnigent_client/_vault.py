"""The stored logins: ``auth_tokens.json``, which ``omnigent login`` writes, ours and the original's.

Nothing is read from a file that others could have written or read, every change is made under the
lock and by a rename, and what we do not know in the file stays.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import _address

FILE = "auth_tokens.json"
LOCK = "auth_tokens.lock"
MARGIN = 90.0
_MAX_SIZE = 4 << 20


class VaultError(Exception):
    """The file with the stored logins is damaged, or others could have touched it."""


@dataclass(frozen=True)
class StoredEntry:
    """One stored login."""

    token: str = field(repr=False)
    expires_at: float | None
    refresh_token: str | None = field(repr=False)

    def lasts(self, margin: float) -> bool:
        """Whether it has more than ``margin`` seconds to live."""
        return self.expires_at is None or self.expires_at - time.time() > margin


def directory() -> Path:
    """``$OMNIGENT_DATA_DIR``, or else ``~/.omnigent``."""
    named = os.environ.get("OMNIGENT_DATA_DIR")
    return Path(named) if named else Path.home() / ".omnigent"


class Vault:
    """The directory with the stored logins."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or directory()

    def get(self, server: str) -> StoredEntry | None:
        """The login stored for a server."""
        with self._open() as folder:
            if folder is None:
                return None
            entries = self._read(folder)
        name = _find(entries, server)
        return None if name is None else _entry(entries[name])

    def put(self, server: str, token: str, expires_at: float, refresh_token: str | None) -> None:
        """Stores a renewed login. The caller holds the lock."""
        with self._open() as folder:
            if folder is None:
                raise VaultError(f"{self.path} is gone")
            entries = self._read(folder)
            name = _find(entries, server) or server
            entry = entries.get(name)
            entry = dict(entry) if isinstance(entry, dict) else {}
            entry["token"] = token
            entry["expires_at"] = expires_at
            if refresh_token is not None:
                entry["refresh_token"] = refresh_token
            entries[name] = entry
            self._write(folder, json.dumps(entries, indent=2))

    @contextlib.contextmanager
    def try_lock(self) -> Iterator[bool]:
        """Holds the lock if nobody else does; says whether."""
        import fcntl

        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with self._open() as folder:
            if folder is None:
                raise VaultError(f"{self.path} is gone")
            lock = os.open(LOCK, flags, 0o600, dir_fd=folder)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(lock)

    @contextlib.contextmanager
    def _open(self) -> Iterator[int | None]:
        try:
            folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            yield None
            return
        try:
            if os.fstat(folder).st_uid != os.geteuid():
                raise VaultError(f"{self.path} belongs to somebody else")
            yield folder
        finally:
            os.close(folder)

    def _read(self, folder: int) -> dict[str, Any]:
        shown = self.path / FILE
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            file = os.open(FILE, flags, dir_fd=folder)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise VaultError(f"cannot read {shown}: {error.strerror}") from None
        with os.fdopen(file, "rb") as handle:
            about = os.fstat(handle.fileno())
            if not stat.S_ISREG(about.st_mode):
                raise VaultError(f"{shown} is not a regular file")
            if about.st_uid != os.geteuid():
                raise VaultError(f"{shown} belongs to somebody else")
            if about.st_mode & 0o077:
                raise VaultError(f"others can read or write {shown}: chmod 600 {shown}")
            text = handle.read(_MAX_SIZE + 1)
        if len(text) > _MAX_SIZE:
            raise VaultError(f"{shown} is too large")
        try:
            entries = json.loads(text)
        except ValueError:
            entries = None
        if not isinstance(entries, dict):
            raise VaultError(f"{shown} is damaged: move it away and sign in again")
        return entries

    def _write(self, folder: int, text: str) -> None:
        temporary = f".{FILE}.{secrets.token_hex(8)}.tmp"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.open(temporary, flags, 0o600, dir_fd=folder)
        try:
            with os.fdopen(file, "w", encoding="ascii") as handle:
                handle.write(text)
                handle.flush()
                os.fsync(handle.fileno())
            os.rename(temporary, FILE, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=folder)
            raise
        os.fsync(folder)


def _find(entries: dict[str, Any], server: str) -> str | None:
    """The name of a server's entry: as we write it, or another spelling of the same address."""
    if server in entries:
        return server
    for name in entries:
        with contextlib.suppress(_address.AddressError, UnicodeError):
            if _address.key(name) == server:
                return name
    return None


def _entry(raw: object) -> StoredEntry | None:
    if not isinstance(raw, dict):
        return None
    token, refresh, expires_at = raw.get("token"), raw.get("refresh_token"), raw.get("expires_at", 0)
    if not isinstance(token, str):
        return None
    is_number = isinstance(expires_at, (int, float)) and not isinstance(expires_at, bool)
    return StoredEntry(
        token=token,
        expires_at=float(expires_at) if is_number else None,
        refresh_token=refresh if isinstance(refresh, str) and refresh else None,
    )
