"""Reports into a folder and by SFTP: whole or not at all, and twice is once."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from infra.errors import ConfigurationError
from infra.local.ports import free_port
from schemas.agreement import SftpSubmission
from schemas.settings import Settings
from stream_jobs.month_close.submit.by_hand import ByHand
from stream_jobs.month_close.submit.folder import FolderTransport
from stream_jobs.month_close.submit.sftp import SftpTransport
from stream_jobs.month_close.submit.transport import File, Outcome, Parcel, Transport
from tests.receivers import SftpReceiver, silent
from tests.unit.parcels import LARGE, OTHER, PARCEL

Way = Callable[[], Transport]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where parcels arrive."""
    there = tmp_path / "受信箱"
    there.mkdir()
    return there


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("key") / "id_ed25519"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(file))
    return file


@pytest.fixture
def sftp(place: Path, key_file: Path) -> Iterator[Callable[..., SftpReceiver]]:
    made: list[SftpReceiver] = []

    def make(**how: bool) -> SftpReceiver:
        made.append(SftpReceiver(place.parent, asyncssh.read_private_key(str(key_file)), **how))
        return made[-1]

    yield make
    for server in made:
        server.close()


def by_sftp(server: SftpReceiver, key_file: Path, *, seconds: float = 5, **changes: Any) -> SftpTransport:
    given = {
        "by": "sftp", "host": "127.0.0.1", "port": server.port, "user": "rollcall", "folder": "受信箱",
        "host_key": server.public_key, **changes,
    }  # fmt: skip
    settings = Settings(submit={"ssh_key_file": key_file, "timeout_seconds": seconds})
    return SftpTransport(settings, SftpSubmission.model_validate(given))


@pytest.fixture(params=["folder", "sftp", "sftp without posix-rename"])
def way(request: pytest.FixtureRequest, place: Path, key_file: Path) -> Way:
    """Makes a transport that puts parcels into `place`."""
    if request.param == "folder":
        return lambda: FolderTransport(place)
    server = request.getfixturevalue("sftp")(renames=request.param == "sftp")
    return lambda: by_sftp(server, key_file)


def found(place: Path, key: str = PARCEL.key) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (place / key).iterdir()}


def wanted(parcel: Parcel = PARCEL) -> dict[str, bytes]:
    manifest = json.dumps(parcel.manifest(), ensure_ascii=False, indent=1) + "\n"
    return {file.name: file.content for file in parcel.files} | {"manifest.json": manifest.encode()}


def test_every_file_is_there_with_a_manifest_and_nothing_besides(way: Way, place: Path) -> None:
    outcome = way().send(PARCEL)
    assert outcome.result == "accepted", outcome
    assert found(place) == wanted()
    assert [path.name for path in place.iterdir()] == [PARCEL.key]


def test_the_same_again_is_accepted_and_changes_nothing(way: Way, place: Path) -> None:
    way().send(PARCEL)
    before = (place / PARCEL.key).stat()
    outcome = way().send(PARCEL)
    assert outcome.result == "accepted"
    assert "already" in outcome.note
    assert (place / PARCEL.key).stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize("there", ["other content", "one file less", "one file more", "a file"])
def test_something_else_under_this_key_is_told_and_left(way: Way, place: Path, there: str) -> None:
    if there == "other content":
        way().send(OTHER)
    elif there == "one file less":
        way().send(replace(PARCEL, files=PARCEL.files[:1]))
    elif there == "one file more":
        way().send(PARCEL)
        (place / PARCEL.key / "more").write_bytes(b"")
    else:
        (place / PARCEL.key).write_bytes(b"")
    before = found(place) if (place / PARCEL.key).is_dir() else {}
    outcome = way().send(PARCEL)
    assert outcome.result == "failed"
    assert (found(place) if (place / PARCEL.key).is_dir() else {}) == before


def test_what_a_killed_attempt_left_is_cleared_away(way: Way, place: Path) -> None:
    left = place / f".{PARCEL.key}.deadbeef"
    left.mkdir()
    (left / "half").write_bytes(b"half")
    assert way().send(PARCEL).result == "accepted"
    assert [path.name for path in place.iterdir()] == [PARCEL.key]


def test_a_folder_that_is_not_there_is_not_made(way: Way, place: Path) -> None:
    """What should be mounted there would be missing for ever."""
    place.rmdir()
    outcome = way().send(PARCEL)
    assert outcome.result == "failed"
    assert not place.exists()


def test_a_disk_that_takes_no_more_is_left_as_it_was(place: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, before[1]))
    try:
        outcome = FolderTransport(place).send(LARGE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert outcome == Outcome("failed", f"File too large at {place}; nothing of it is there")
    assert list(place.iterdir()) == []


def test_a_server_whose_disk_takes_no_more_is_left_as_it_was(
    sftp: Callable[..., SftpReceiver], place: Path, key_file: Path
) -> None:
    outcome = by_sftp(sftp(full=True), key_file).send(PARCEL)
    assert outcome.result == "failed"
    assert "nothing of it is there" in outcome.note
    assert list(place.iterdir()) == []


def test_by_hand_writes_the_files_and_claims_nothing(tmp_path: Path) -> None:
    way = ByHand(tmp_path / "new" / "folder")
    outcome = way.send(PARCEL)
    assert outcome.result == "unknown"
    assert found(tmp_path / "new" / "folder") == wanted()
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    assert ByHand(blocked / "below").send(PARCEL).result == "failed"


def test_another_host_key_than_the_agreements_gets_nothing(
    sftp: Callable[..., SftpReceiver], place: Path, key_file: Path
) -> None:
    server = sftp()
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    outcome = by_sftp(server, key_file, host_key=other).send(PARCEL)
    assert outcome.result == "failed"
    assert "host_key" in outcome.note
    assert (server.logins, list(place.iterdir())) == (0, [])


def test_another_account_or_key_is_not_let_in(
    sftp: Callable[..., SftpReceiver], place: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(other))
    outcome = by_sftp(sftp(), other).send(PARCEL)
    assert outcome.result == "failed"
    assert "ROLLCALL_SUBMIT_SSH_KEY_FILE" in outcome.note
    assert list(place.iterdir()) == []


def test_a_server_that_hangs_is_unknown_and_the_next_attempt_completes_it(
    sftp: Callable[..., SftpReceiver], place: Path, key_file: Path
) -> None:
    outcome = by_sftp(sftp(slow=True), key_file, seconds=1).send(LARGE)
    assert outcome.result == "unknown"
    assert not (place / LARGE.key).exists()
    assert by_sftp(sftp(), key_file, seconds=20).send(LARGE).result == "accepted"
    assert found(place) == wanted(LARGE)


def test_nobody_listens_or_nobody_speaks(sftp: Callable[..., SftpReceiver], key_file: Path) -> None:
    server = sftp()
    assert by_sftp(server, key_file, port=free_port()).send(PARCEL).result == "failed"
    with silent() as port:
        assert by_sftp(server, key_file, port=port, seconds=0.5).send(PARCEL).result == "failed"


def test_a_private_key_that_cannot_be_used_is_told_before_anything_is_tried(
    sftp: Callable[..., SftpReceiver], tmp_path: Path
) -> None:
    server, locked, broken = sftp(), tmp_path / "locked", tmp_path / "broken"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(
        str(locked), "pkcs8-pem", passphrase="secret"
    )
    broken.write_text("no key")
    for file in (locked, broken, tmp_path / "missing"):
        with pytest.raises(ConfigurationError, match="ROLLCALL_SUBMIT_SSH_KEY_FILE"):
            by_sftp(server, file)


@pytest.mark.parametrize("name", ["", ".", "..", "../outside", "a/b", "a\\b", "a\0b", "manifest.json"])
def test_a_name_is_never_a_path_nor_the_manifests(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        File(name, "text/plain", b"")
