"""A real server for the tests: the built ``omnigent``, on a free port and a fresh directory."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
PASSWORD = "tidal-Orchid-77-lantern"
CONFIG = """
[auth]
backends = ["local"]
[backend.local]
plugin = "accounts"
[passwords]
memory = "7MiB"
iterations = 1
[[agent]]
name = "reviewer"
description = "Reads pull requests"
[[agent]]
name = "writer"
description = "Writes them"
"""


@dataclass
class Server:
    """A running server, and the home of somebody who uses it."""

    url: str
    home: Path

    def command(self, *args: str, stdin: str = "") -> str:
        """Runs ``omnigent`` as that somebody."""
        done = subprocess.run(
            [binary(), *args], input=stdin, env=self.environment(), capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def environment(self) -> dict[str, str]:
        return {"HOME": str(self.home), "PATH": os.environ["PATH"]}

    def sign_in(self) -> None:
        """``omnigent login`` as admin."""
        self.command(
            "login", self.url, "--username", "admin", "--password-stdin", stdin=f"{PASSWORD}\n"
        )

    @property
    def vault(self) -> Path:
        return self.home / ".omnigent" / "auth_tokens.json"

    def stored(self) -> dict[str, dict[str, object]]:
        entries: dict[str, dict[str, object]] = json.loads(self.vault.read_text())
        return entries

    def age(self, seconds_left: float) -> None:
        """Makes the stored login as good as over."""
        entries = self.stored()
        for entry in entries.values():
            entry["expires_at"] = time.time() + seconds_left
        self.vault.write_text(json.dumps(entries, indent=2))


def binary() -> str:
    path = Path(os.environ.get("OMNIGENT_BINARY", REPOSITORY / "target/debug/omnigent"))
    assert path.exists(), f"{path} is missing: cargo build --workspace"
    return str(path)


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a claimed server."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "omnigent.toml").write_text(CONFIG)
    log = (folder / "log").open("w+")
    command = [binary(), "server", "--listen", "127.0.0.1:0", "--data-dir", str(folder / "data")]
    child = subprocess.Popen(
        [*command, "--config", str(folder / "omnigent.toml")],
        env={"HOME": str(folder), "PATH": os.environ["PATH"]},
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        url = _listening(child, folder / "log")
        body = {"username": "admin", "password": PASSWORD}
        assert httpx.post(f"{url}/auth/setup", json=body).status_code == 200
        yield url
    finally:
        child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(20)
        child.kill()
        log.close()


def _listening(child: subprocess.Popen[bytes], log: Path) -> str:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        said = log.read_text()
        found = re.search(r"listening on (http://127\.0\.0\.1:\d+)", said)
        if found:
            return found[1]
        assert child.poll() is None, said
        time.sleep(0.02)
    raise AssertionError(log.read_text())


@pytest.fixture
def server(running: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The server, with a home of its own that this process uses too."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("OMNIGENT_DATA_DIR", "OMNIGENT_CONFIG_HOME", "OMNIGENT_REMOTE_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return Server(running, tmp_path)
