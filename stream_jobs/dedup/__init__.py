"""The dedup job: login events in, one row per month, tenant, SKU and subject out.

`app` is made when it is asked for, so that `faust -A stream_jobs.dedup worker` works and an import has no effects.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(name)
    from infra.errors import RollcallError
    from schemas.settings import SettingsError, load_settings
    from stream_jobs.dedup.job import make_app, prepare, tame_logging

    try:
        settings = load_settings()
        tame_logging(settings.log)
        made = make_app(settings, prepare(settings))
    except SettingsError as error:
        raise SystemExit(f"rollcall: {error}") from None
    except RollcallError as error:
        raise SystemExit(f"rollcall: {error}") from None
    globals()["app"] = made
    return made
