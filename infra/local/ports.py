"""Ports of the loopback interface: who may take them."""

from __future__ import annotations

import socket
from random import randrange
from typing import Final

LOOPBACK: Final = "127.0.0.1"


def is_free(port: int) -> bool:
    """Whether a server could listen here; connections of the last one that still linger do not count."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen()
        except OSError:
            return False
    return True


_given: set[int] = set()


def free_port() -> int:
    """A port that nobody listens on just now, and that was not given before.

    It lies below those that Linux gives to outgoing connections by itself, one of which may take it in between.
    """
    found = next(port for port in iter(lambda: randrange(20_000, 32_000), 0) if port not in _given and is_free(port))
    _given.add(found)
    return found
