"""The examples of the README run as they are."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Server

README = Path(__file__).resolve().parents[1] / "README.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_runs(example: str, server: Server) -> None:
    server.sign_in()
    token = server.command("token", "create", "readme").strip()
    done = subprocess.run(
        [sys.executable, "-c", example.replace("https://auth.example.com", server.url)],
        env={**server.environment(), "OMNIGENT_TOKEN": token},
        capture_output=True,
        text=True,
        timeout=60,
    )
    server.command("token", "revoke", "readme")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip(), "it prints something"
