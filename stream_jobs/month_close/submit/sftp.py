"""By SFTP, into a folder named by the key: uploaded beside it, then renamed, so that it appears whole or not at all.

The server's key is the one that the agreement has; no other is believed, and no file of the account's .ssh is read.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import PurePosixPath

import asyncssh

from infra.errors import ConfigurationError
from schemas.agreement import SftpSubmission
from schemas.settings import Settings, SubmitSettings
from stream_jobs.month_close.submit.transport import Outcome, Parcel, noted


class SftpTransport:
    name = "sftp"
    carries_key = True

    def __init__(self, settings: Settings, submission: SftpSubmission) -> None:
        """Raises ConfigurationError when the private key cannot be used."""
        self._to, self._seconds = submission, settings.submit.timeout_seconds
        self._key = _private_key(settings.submit)
        self._host_key = asyncssh.import_public_key(submission.host_key)

    @property
    def target(self) -> str:
        return f"sftp://{self._to.user}@{self._to.host}:{self._to.port}/{self._to.folder}"

    def send(self, parcel: Parcel) -> Outcome:
        return asyncio.run(self._send(parcel))

    async def _send(self, parcel: Parcel) -> Outcome:
        host = self._to.host
        try:
            connection = await asyncssh.connect(
                host, self._to.port, username=self._to.user, client_keys=[self._key],
                known_hosts=([self._host_key], [], []), config=None, agent_path=None, password=None,
                preferred_auth="publickey", x509_trusted_certs=None, connect_timeout=self._seconds,
            )  # fmt: skip
        except asyncssh.HostKeyNotVerifiable:
            why = "shows another key than the agreement's `host_key`: ask its owner before you change that"
            return Outcome("failed", f"{host} {why}")
        except asyncssh.PermissionDenied:
            return Outcome("failed", f"{host} does not let {self._to.user} in with ROLLCALL_SUBMIT_SSH_KEY_FILE")
        except (OSError, asyncssh.Error) as error:
            return Outcome("failed", f"{host}:{self._to.port} cannot be reached: {_text(error)}")
        # Not a cancellation, which would wait until the server has closed each file.
        late = asyncio.get_running_loop().call_later(self._seconds, connection.abort)
        try:
            return await self._put(await connection.start_sftp_client(), parcel)
        except (OSError, asyncssh.Error) as error:
            return Outcome("unknown", f"{host} broke off: {_text(error)}")
        finally:
            late.cancel()
            connection.abort()

    async def _put(self, sftp: asyncssh.SFTPClient, parcel: Parcel) -> Outcome:
        place, files = PurePosixPath(self._to.folder) / parcel.key, parcel.as_folder()
        if await sftp.exists(place):
            return await _compared(sftp, place, files)
        beside = place.with_name(f".{parcel.key}.{secrets.token_hex(4)}")
        try:
            await sftp.mkdir(beside)
            for name, content in files.items():
                await _write(sftp, beside / name, content)
            await _rename(sftp, beside, place)
        except asyncssh.SFTPError as error:
            if isinstance(error, asyncssh.SFTPConnectionLost | asyncssh.SFTPNoConnection):
                raise
            await sftp.rmtree(beside, ignore_errors=True)
            if await sftp.exists(place):  # somebody else was faster
                return await _compared(sftp, place, files)
            return Outcome("failed", f"{_text(error)} in {self._to.folder} at {self._to.host}; nothing of it is there")
        for left in await sftp.glob(f"{place.parent}/.{parcel.key}.*", error_handler=lambda _: None):
            await sftp.rmtree(left, ignore_errors=True)  # of attempts that were killed
        return Outcome("accepted", f"{len(files)} files in {place}")


async def _write(sftp: asyncssh.SFTPClient, path: PurePosixPath, content: bytes) -> None:
    async with sftp.open(path, "wb") as out:
        await out.write(content)
        with suppress(asyncssh.SFTPOpUnsupported):  # not every server can
            await out.fsync()


async def _rename(sftp: asyncssh.SFTPClient, old: PurePosixPath, new: PurePosixPath) -> None:
    try:
        await sftp.posix_rename(old, new)
    except asyncssh.SFTPOpUnsupported:
        await sftp.rename(old, new)


async def _compared(sftp: asyncssh.SFTPClient, place: PurePosixPath, files: Mapping[str, bytes]) -> Outcome:
    names = {str(name) for name in await sftp.listdir(place)} - {".", ".."} if await sftp.isdir(place) else set()
    other = names ^ files.keys()
    for name in names & files.keys():
        attributes = await sftp.stat(place / name)
        if attributes.size != len(files[name]) or await _read(sftp, place / name) != files[name]:
            other.add(name)
    if not other:
        return Outcome("accepted", f"it was in {place} already")
    return Outcome(
        "failed", f"{place} holds something else ({', '.join(sorted(other))}): have it looked at and moved away"
    )


async def _read(sftp: asyncssh.SFTPClient, path: PurePosixPath) -> bytes:
    async with sftp.open(path, "rb") as found:
        content: bytes = await found.read()
    return content


def _private_key(submit: SubmitSettings) -> asyncssh.SSHKey:
    file = submit.ssh_key_file
    if file is None:
        raise ConfigurationError(
            "SFTP needs a private key: make one with `ssh-keygen -t ed25519 -f FILE`, name it in "
            "ROLLCALL_SUBMIT_SSH_KEY_FILE, and give FILE.pub to the distributor"
        )
    try:
        return asyncssh.read_private_key(str(file))
    except asyncssh.KeyImportError as error:
        raise ConfigurationError(
            f"ROLLCALL_SUBMIT_SSH_KEY_FILE={file} is no key that can be used ({error}): name a private key without a "
            "pass phrase, that only this account can read"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"ROLLCALL_SUBMIT_SSH_KEY_FILE={file} cannot be read: {error.strerror}") from None


def _text(error: Exception) -> str:
    return noted(error) or type(error).__name__
