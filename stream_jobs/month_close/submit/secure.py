"""Who may be trusted at the other end of a connection."""

from __future__ import annotations

import ipaddress
import ssl
from pathlib import Path

from infra.errors import ConfigurationError


def is_loopback(host: str) -> bool:
    """Whether the name is this machine's own, without asking any server."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def tls_context(ca_file: Path | None, variable: str) -> ssl.SSLContext:
    """Checks certificate and name against this file, or the system's authorities. `variable` names the setting.

    Raises ConfigurationError when the file cannot be read.
    """
    try:
        return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"{variable}={ca_file} cannot be used: {error}; name a PEM file") from None
