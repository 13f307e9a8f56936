"""A virtual environment for each peer whose packages must not mix with Rollcall's; made when first needed.

They lie in Rollcall's own environment (`.venv/bench/NAME`), so `make clean` removes them with it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PINS: dict[str, tuple[str, ...]] = {
    "confluent-kafka": ("confluent-kafka==2.16.1", "orjson==3.13.0"),
    "Quix Streams": ("quixstreams==3.28.1", "confluent-kafka==2.12.2", "orjson==3.13.0"),
    "Bytewax": ("bytewax==0.21.1", "confluent-kafka==2.16.1", "orjson==3.13.0"),
}
"""What is installed, by contender; all of it has wheels for Python 3.11.

Quix Streams 3.28 asks for an older confluent-kafka than Rollcall's.
"""


class Unavailable(Exception):
    """The environment cannot be made; the message is what the installer said."""


def python_of(name: str, root: Path | None = None) -> Path:
    """The interpreter of the contender's environment. Raises Unavailable when its packages cannot be installed."""
    folder = (root or Path(sys.prefix) / "bench") / name.lower().replace(" ", "-")
    python, pins = folder / "bin/python", "\n".join(PINS[name])
    ready = folder / ".pins"
    if ready.is_file() and ready.read_text() == pins and python.exists():
        return python
    uv = str(Path(sys.prefix) / "bin/uv")
    _run(uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
    _run(uv, "pip", "install", "--quiet", "--only-binary", ":all:", "--python", str(python), *PINS[name])
    ready.write_text(pins)
    return python


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"cannot be installed: {error}") from None
    if done.returncode:
        raise Unavailable(f"cannot be installed: {' '.join(done.stderr.split())[:200]}")
