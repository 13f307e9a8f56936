"""Approval by signature: the text that is signed, and OpenSSH's own tool that signs and verifies it.

`ssh-keygen -Y sign -n rollcall-approval -f KEY statement` writes `statement.sig`;
`ssh-keygen -Y verify -f allowed_signers -I NAME -n rollcall-approval -s statement.sig < statement` checks it.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from infra.errors import CheckFailed, ConfigurationError
from schemas.calendar import month_name
from stream_jobs.month_close.report.life import Revision

NAMESPACE = "rollcall-approval"


def statement_of(agreement: str, month: date, revision: Revision) -> str:
    """What an approver signs, to the byte: seven lines, each ended by one line feed, nothing else."""
    return (
        "rollcall approval v1\n"
        f"agreement {agreement}\n"
        f"month {month_name(month)}\n"
        f"revision {revision.number}\n"
        f"draft {revision.draft}\n"
        f"seal {revision.seal_digest}\n"
        f"report {revision.report}\n"
    )


def sign(statement: str, key: Path) -> str:
    """The armoured signature by a private key, or by a public key whose private part an SSH agent holds.

    A passphrase is asked for on the terminal. Raises ConfigurationError when the key cannot sign.
    """
    done = _ssh_keygen("-Y", "sign", "-n", NAMESPACE, "-f", str(key), given=statement)
    if done.returncode or not done.stdout.startswith("-----BEGIN SSH SIGNATURE-----"):
        raise ConfigurationError(f"{key} did not sign: {_last(done.stderr)}; nothing was approved")
    return done.stdout


def signer_of(statement: str, signature: str, allowed_signers: Sequence[str], signer: str | None = None) -> str:
    """The signer's name, if the signature over the statement is good and an allowed signer's.

    With `signer` it must be this one's. Raises CheckFailed if it is not.
    """
    with _files(signature, allowed_signers) as (sig, allowed):
        if signer is None:
            found = _ssh_keygen("-Y", "find-principals", "-s", str(sig), "-f", str(allowed), given="")
            if found.returncode or not found.stdout.strip():
                raise CheckFailed(
                    "the signature is by no key of the agreement's allowed_signers: sign with one of theirs, or add "
                    "the line to the catalogue, then `rollcall catalogue apply`; nothing was approved"
                )
            signer = found.stdout.splitlines()[0].strip().partition(",")[0]
            if "*" in signer or "?" in signer:
                raise ConfigurationError(f"the key is allowed to anybody like {signer}: say who, --signer NAME")
        done = _ssh_keygen(
            "-Y", "verify", "-f", str(allowed), "-I", signer, "-n", NAMESPACE, "-s", str(sig), given=statement
        )
    if done.returncode:
        raise CheckFailed(
            f"the signature is not one of {signer} over this statement ({_last(done.stderr or done.stdout)}): sign "
            "what `rollcall report approve MONTH --statement FILE` writes now, in the namespace rollcall-approval; "
            "nothing was approved"
        )
    return signer


@contextmanager
def _files(signature: str, allowed_signers: Sequence[str]) -> Iterator[tuple[Path, Path]]:
    """ssh-keygen reads these from files only."""
    with tempfile.TemporaryDirectory(prefix="rollcall-") as folder:
        sig, allowed = Path(folder, "statement.sig"), Path(folder, "allowed_signers")
        sig.write_text(signature, "utf-8")
        allowed.write_text("".join(f"{line}\n" for line in allowed_signers), "utf-8")
        yield sig, allowed


def _ssh_keygen(*arguments: str, given: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(["ssh-keygen", *arguments], input=given, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise ConfigurationError(
            "this machine has no ssh-keygen, which checks the approver's signature: install OpenSSH's client"
        ) from None


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else "no word why"
