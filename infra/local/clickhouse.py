"""The ClickHouse engine as a background process that speaks ClickHouse's HTTP protocol on loopback."""

from __future__ import annotations

import base64
import http.client
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import infra
from infra.errors import ConfigurationError
from infra.local.ports import LOOPBACK
from infra.local.processes import BackgroundProcess


@dataclass(frozen=True)
class ClickHouseEngine:
    """The local engine: `home` is its folder, `accounts` its users' file (both absolute)."""

    home: Path
    port: int
    accounts: Path
    process: BackgroundProcess

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def address(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def start(self, tell: Callable[[str], None]) -> None:
        """Starts the engine; returns without waiting for it. The caller has seen that nothing is in the way."""
        if find_spec("chdb") is None:
            raise ConfigurationError(
                "the local stack is not installed here: pip install 'rollcall[local]', or point "
                "ROLLCALL_KAFKA_BOOTSTRAP and ROLLCALL_CLICKHOUSE_URL to servers of yours"
            )
        self.data.mkdir(parents=True, exist_ok=True)
        self.data.chmod(0o700)  # clear names are in there
        # -P: nothing that lies in the working folder is taken for a module.
        command = [sys.executable, "-P", "-m", "infra.local.engine"]
        options = ["--data", str(self.data), "--port", str(self.port), "--accounts", str(self.accounts)]
        self.process.start([*command, *options], _environment())

    def answers(self) -> bool:
        return self._get("/ping") == "Ok."

    def version(self, user: str, password: str) -> str | None:
        """What the running engine calls itself; None when it does not answer this account."""
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        return self._get("/?query=SELECT%20version()", {"Authorization": f"Basic {token}"})

    def _get(self, path: str, headers: dict[str, str] | None = None) -> str | None:
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=3.0)
        try:
            connection.request("GET", path, headers=headers or {})
            response = connection.getresponse()
            text = response.read(1000).decode("utf-8", "replace").strip()
            return text if response.status == 200 else None
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()


def _environment() -> dict[str, str]:
    # This very checkout or installation, whichever folder the process works in.
    root = str(Path(infra.__file__).resolve().parents[1])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))}
