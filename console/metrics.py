"""`rollcall metrics`: what no worker knows, for Prometheus."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from prometheus_client.exposition import generate_latest

from console.output import tell
from infra.errors import ConfigurationError
from infra.metrics.server import serve
from schemas.settings import load_settings
from stream_jobs.status.exporter import registry


def metrics(
    *, output: Annotated[Path | None, Parameter(help="write this file (*.prom) for a textfile collector")] = None,
    serve_on: Annotated[int | None, Parameter(name="--serve", help="serve on this port until SIGTERM")] = None,
) -> None:  # fmt: skip
    """Print the metrics of the log, the month, the quarantine and the reports; or write, or serve them."""
    settings = load_settings()
    made = registry(settings)
    if serve_on is not None:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            server = serve(settings.metrics.host, serve_on, made, {})
        except (OSError, OverflowError) as error:
            raise ConfigurationError(
                f"port {serve_on} on {settings.metrics.host} cannot be had ({error}): name another in --serve, or "
                "another address in ROLLCALL_METRICS_HOST"
            ) from None
        tell(f"metrics on http://{settings.metrics.host}:{server.port}/metrics")
        try:
            signal.pause()
        except KeyboardInterrupt:
            server.close()
        return
    text = generate_latest(made)
    if output is None:
        sys.stdout.write(text.decode())
        return
    unfinished = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(text)
        unfinished.replace(output)
    except OSError as error:
        raise ConfigurationError(f"{output} cannot be written ({error.strerror}): name another file") from None
