"""Kafka's jars, exactly those of the lock file: fetched once for a user, verified on every use.

The lock names each jar by its Maven coordinate, size and SHA-256; where to fetch it from is `jgo`'s business.
The resolution (which jars belong together) happens when a maintainer writes the lock, never on a user's
machine. To move to another version: edit the `root` lines, run `python -m infra.local.jars`, commit. A root
that ends in `!` (jgo's notation) has no say in the versions of others: log4j's would take Jackson back.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.errors import ConfigurationError, OutOfReach, RollcallError

LOCK_FILE: Final = Path(__file__).with_name("kafka-jars.lock")

_TRIES: Final = 3
_COORDINATE: Final = r"[A-Za-z0-9._-]+:[A-Za-z0-9._-]+:[A-Za-z0-9._-]+"
_ROOT: Final = re.compile(rf"root ({_COORDINATE}!?)")
_JAR: Final = re.compile(rf"jar ({_COORDINATE}) ([0-9]+) sha256:([0-9a-f]{{64}})")


@dataclass(frozen=True)
class Jar:
    """One jar: `group:artifact:version`, its size in bytes, its SHA-256 in lower-case hex."""

    coordinate: str
    size: int
    sha256: str

    @property
    def file_name(self) -> str:
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


@dataclass(frozen=True)
class JarLock:
    """What was asked for (`roots`), and all that it takes (`jars`)."""

    roots: tuple[str, ...]
    jars: tuple[Jar, ...]

    def version(self, artifact: str) -> str:
        return next(jar.coordinate.split(":")[2] for jar in self.jars if jar.coordinate.split(":")[1] == artifact)


def parse_lock(text: str) -> JarLock:
    """The lock file's content. Raises ConfigurationError naming the line that cannot be read."""
    roots: list[str] = []
    jars: dict[str, Jar] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if root := _ROOT.fullmatch(line):
            roots.append(root[1])
        elif (found := _JAR.fullmatch(line)) and (jar := Jar(found[1], int(found[2]), found[3])):
            if jar.file_name in jars:
                raise ConfigurationError(f"kafka-jars.lock, line {number}: a second jar named {jar.file_name}")
            jars[jar.file_name] = jar
        else:
            raise ConfigurationError(
                f"kafka-jars.lock, line {number} is neither a root nor a jar: {line!r}; "
                "restore the file from the repository"
            )
    return JarLock(tuple(roots), tuple(jars.values()))


def render_lock(lock: JarLock) -> str:
    head = "# Kafka and all that it needs to run. Edit the roots only, then: python -m infra.local.jars\n"
    roots = "".join(f"root {root}\n" for root in lock.roots)
    jars = "".join(f"jar {j.coordinate} {j.size} sha256:{j.sha256}\n" for j in sorted(lock.jars, key=_by_name))
    return f"{head}{roots}\n{jars}"


def load_lock() -> JarLock:
    return parse_lock(LOCK_FILE.read_text("utf-8"))


def jar_cache() -> Path:
    """The user's cache: shared by all homes, safe to delete."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "rollcall" / "jars"


def classpath(lock: JarLock, cache: Path, tell: Callable[[str], None]) -> list[Path]:
    """All jars of the lock as files whose SHA-256 was just verified; fetches what is missing or broken.

    Raises OutOfReach when one cannot be fetched, RollcallError when one arrives with other bytes.
    """
    with ThreadPoolExecutor(max_workers=8) as pool:
        good = list(pool.map(lambda jar: sha256_of(cache / jar.file_name) == jar.sha256, lock.jars))
        wanted = [jar for jar, is_good in zip(lock.jars, good, strict=True) if not is_good]
        if wanted:
            tell(f"fetching Kafka's jars ({sum(jar.size for jar in wanted) / 1e6:.0f} MB, once) …")
            cache.mkdir(parents=True, exist_ok=True)
            # In the cache's own file system, so that each jar appears there whole, in one rename.
            with tempfile.TemporaryDirectory(prefix="fetch-", dir=cache) as folder:
                list(pool.map(lambda jar: _fetch(jar, Path(folder), cache), wanted))
    return [cache / jar.file_name for jar in lock.jars]


def sha256_of(file: Path) -> str | None:
    """The file's SHA-256 in hex; None when there is no such file."""
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def _fetch(jar: Jar, folder: Path, cache: Path) -> None:
    for last in (False,) * (_TRIES - 1) + (True,):
        attempt = Path(tempfile.mkdtemp(dir=folder))
        try:
            file = _download(jar.coordinate, attempt)
        except (OSError, RuntimeError) as error:  # requests' errors are OSErrors, jgo's own are RuntimeErrors
            if last:
                raise OutOfReach(
                    f"{jar.coordinate} cannot be fetched from Maven's central repository "
                    f"({type(error).__name__}): connect this machine to the internet (HTTPS_PROXY is honoured), "
                    f"or copy {cache} from a machine that has run `rollcall up`"
                ) from None
            continue
        found = sha256_of(file)
        if found == jar.sha256:
            file.replace(cache / jar.file_name)
            shutil.rmtree(attempt)
            return
    raise RollcallError(
        f"{jar.coordinate} arrives with SHA-256 {found}, but the lock says {jar.sha256}: it was not used; "
        "something between this machine and Maven's central repository changes files, most often a proxy"
    )


def _download(coordinate: str, folder: Path) -> Path:
    from jgo.maven import MavenContext

    context = MavenContext(repo_cache=folder, local_repos=[], timeout=30)
    return Path(context.create_dependency(coordinate).artifact.resolve())


def _by_name(jar: Jar) -> str:
    return jar.coordinate


def resolve(roots: Sequence[str]) -> JarLock:
    """Asks Maven which jars the roots take, fetches and measures each (a maintainer's step)."""
    from jgo.maven import MavenContext

    with tempfile.TemporaryDirectory() as folder:
        context = MavenContext(repo_cache=Path(folder), local_repos=[], timeout=30)
        inputs, rest = context.resolver.resolve([context.create_dependency(root) for root in roots])
        jars = []
        for dependency in (*inputs, *rest):
            file = dependency.artifact.resolve()
            coordinate = f"{dependency.groupId}:{dependency.artifactId}:{dependency.version}"
            digest = sha256_of(file)
            assert digest is not None
            jars.append(Jar(coordinate, file.stat().st_size, digest))
    return JarLock(tuple(roots), tuple(jars))


if __name__ == "__main__":
    LOCK_FILE.write_text(render_lock(resolve(load_lock().roots)), "utf-8")
