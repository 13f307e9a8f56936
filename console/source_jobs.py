"""What `rollcall source` is asked to read: a kind and a URL with its settings, declared or from the command line."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from threading import Event, Thread
from typing import Any, cast

from pydantic import ValidationError

from console.output import tell
from infra.catalogue_file import catalogue_text
from infra.errors import ConfigurationError, RollcallError
from producers.adapters.adapter import Seen
from producers.polling.brokers import open_broker
from producers.polling.poller import Poller
from producers.polling.watermark import state_of
from producers.refusal_file import RefusalFile
from producers.source_folder import file_name
from schemas.catalogue import Catalogue, parse_catalogue
from schemas.parts import covers
from schemas.quarantine import Refusal
from schemas.settings import Settings
from schemas.source_declared import DeclaredSource
from schemas.source_policy import with_policy
from schemas.source_settings import SETTINGS, PolledSettings, SourceSettings, SyslogSettings, source_settings, told

SECRET = "SOURCE_SECRET"


@dataclass(frozen=True, slots=True)
class Job:
    """A source that is read or listened to, and where."""

    source: str
    kind: str
    reads: str
    settings: SourceSettings

    def poller(self, settings: Settings) -> Poller:
        """Raises ConfigurationError for what cannot be opened, and for a kind that is listened to."""
        if not isinstance(self.settings, PolledSettings):
            raise ConfigurationError(f"{self.source}: {self.kind} is listened to: it cannot be asked again")
        folder = settings.home / "sources"
        broker = open_broker(self.reads, self.settings, folder)
        return Poller(self.source, broker, self.settings, folder, settings.kafka, tell)


def job_of(source: str, kind: str, reads: str, given: Mapping[str, Any]) -> Job:
    """Raises ConfigurationError that names every setting which is missing or wrong."""
    try:
        return Job(source, kind, reads, source_settings(kind, given))
    except KeyError:
        known = ", ".join(SETTINGS)
        raise ConfigurationError(f"{kind} is no kind that is read: choose one of {known}; others push") from None
    except ValidationError as error:
        raise ConfigurationError(f"{source or kind}: {told(error)}; see docs/sources") from None


def job_of_line(
    settings: Settings, kind: str, url: str, source: str, secret_file: str | None, given: Mapping[str, Any]
) -> Job:
    """A job as the command line tells it: the secret in a file, or in the variable SOURCE_SECRET.

    What it leaves to the programme is as the catalogue says, where there is one.
    """
    said = {name: value for name, value in given.items() if value is not None and value != {}}
    needs = SETTINGS.get(kind)
    if secret_file is not None:
        said["secret"] = f"file:{secret_file}"
    elif needs and "secret" in needs.model_fields and (
        needs.model_fields["secret"].is_required() or os.environ.get(SECRET)
    ):
        said["secret"] = f"env:{SECRET}"
    job = job_of(source, kind, url, said)
    if not source or (text := catalogue_text(settings)) is None:
        return job
    told = DeclaredSource(source=source, kind=cast("Any", kind), reads=url, settings=said)
    return _job(_as_programmes_say(settings, parse_catalogue(text, str(settings.catalogue)), told))


def declared(settings: Settings) -> list[DeclaredSource]:
    """The sources that the catalogue declares. Raises ConfigurationError, or CatalogueError with its faults."""
    catalogue = _catalogue(settings)
    return [_as_programmes_say(settings, catalogue, source) for source in catalogue.sources]


def _as_programmes_say(settings: Settings, catalogue: Catalogue, source: DeclaredSource) -> DeclaredSource:
    try:
        return with_policy(catalogue, source)
    except ValueError as error:
        raise ConfigurationError(f"{settings.catalogue}: {error}") from None


def _job(one: DeclaredSource) -> Job:
    if one.reads is None:
        raise ConfigurationError(f"{one.source} pushes: it cannot be asked; give it `reads` if it should be")
    return job_of(one.source, one.kind, one.reads, one.settings)


def _catalogue(settings: Settings) -> Catalogue:
    text = catalogue_text(settings)
    if text is None:
        raise ConfigurationError(f"there is no catalogue {settings.catalogue}: name yours in ROLLCALL_CATALOGUE")
    return parse_catalogue(text, str(settings.catalogue))


def declared_job(settings: Settings, name: str) -> Job:
    """The one of that name, whether it is in force or not. Raises ConfigurationError when it is not read."""
    sources = declared(settings)
    for one in sources:
        if one.source == name:
            return _job(one)
    known = ", ".join(one.source for one in sources if one.reads is not None) or "none"
    raise ConfigurationError(
        f"{name} is not declared in {settings.catalogue}; read ones: {known}. Or name a kind and a URL"
    )


def jobs_in_force(settings: Settings, day: date) -> list[Job]:
    """All that are read on that day. Raises ConfigurationError when there is none."""
    jobs = [
        _job(one) for one in declared(settings)
        if one.reads is not None and covers(one.valid_from, one.valid_to, day)
    ]  # fmt: skip
    if not jobs:
        raise ConfigurationError(f"{settings.catalogue} declares no source that is read: add one under `sources`")
    return jobs


def listed(settings: Settings) -> list[tuple[object, ...]]:
    """All declared ones: source, kind, tenant, reads, validity, watermark, when a poll last ended, refused records."""
    folder = settings.home / "sources"
    rows: list[tuple[object, ...]] = []
    for one in declared(settings):
        name = file_name(one.source)
        state = state_of(folder, name)
        refused = sum(1 for _ in RefusalFile(folder / f"{name}.rejects").lines())
        rows.append((
            one.source, one.kind, one.settings.get("tenant"), one.reads or "pushes", one.valid_from, one.valid_to,
            state.mark, state.polled, refused,
        ))  # fmt: skip
    return rows


def look(job: Job, settings: Settings) -> list[tuple[str, str, int]]:
    """What of the last day would count, of one portion: (what, product or reason, number). Nothing is sent.

    Of one that is listened to: where it would listen.
    """
    if isinstance(job.settings, SyslogSettings):
        from producers.listening.syslog import check_syslog

        return [("would listen", place, 1) for place in check_syslog(job.reads, job.settings)]
    broker = job.poller(settings).broker
    portion = next(iter(broker.since(broker.first(datetime.now(UTC) - timedelta(days=1)))), None)
    found: Counter[tuple[str, str]] = Counter()
    for record in portion.records if portion else ():
        try:
            for one in broker.adapter.translate(record):
                found[("login", one.product or "") if isinstance(one, Seen) else ("no login", one.why)] += 1
        except Refusal as refusal:
            found["refused", refusal.detail] += 1
    return [(*key, number) for key, number in sorted(found.items())]


def unmapped(job: Job, found: Iterable[tuple[str, str, int]], settings: Settings) -> list[str]:
    """Products among what `look` found that the catalogue's `products` do not map, where the source names no SKU."""
    if not isinstance(job.settings, PolledSettings) or job.settings.sku is not None:
        return []
    mapped = {one.product for one in _catalogue(settings).products if one.source == job.source}
    return sorted({product for what, product, _ in found if what == "login"} - mapped)


def run_one(job: Job, settings: Settings, every: float | None, stop: Event) -> bool:
    """Reads it: once, every so many seconds, or, if it is listened to, until `stop`. Whether nothing was refused."""
    if isinstance(job.settings, SyslogSettings):
        from producers.listening.syslog import run_syslog  # a poll needs none of it

        folder = settings.home / "sources"
        return run_syslog(job.source, job.reads, job.settings, folder, settings.kafka, stop, tell)
    poller = job.poller(settings)
    return poller.once() if every is None else poller.until(stop, every)


def run_all(jobs: list[Job], settings: Settings, stop: Event, *, once: bool = False) -> bool:
    """Each by itself, side by side, until `stop`, or one poll each. One that cannot go on is told, and costs no other.

    Raises ConfigurationError at once when one cannot be opened.
    """
    complete: dict[str, bool] = {}

    def run(job: Job) -> None:
        every = job.settings.every_seconds if isinstance(job.settings, PolledSettings) and not once else None
        complete[job.source] = False
        try:
            complete[job.source] = run_one(job, settings, every, stop)
        except RollcallError as error:
            tell(f"{job.source}: {error}")

    polled = [job for job in jobs if isinstance(job.settings, PolledSettings)]
    for job in polled:
        job.poller(settings)
    if once and not polled:
        raise ConfigurationError(f"{jobs[0].source} is listened to: leave out --once")
    if once:
        jobs = polled
    threads = [Thread(target=run, args=(job,), name=job.source) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return all(complete.values())


def stopped_by_signals() -> Event:
    """Set by SIGTERM and SIGINT, for an orderly end."""
    stop = Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: stop.set())
    return stop
