"""SSH public keys as the catalogue holds them: a server's key, and lines of ssh-keygen's allowed signers file."""

from __future__ import annotations

import base64
import binascii
import re
from fnmatch import fnmatchcase
from typing import NamedTuple

KEY_TYPES = (
    "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa",
    "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com",
)  # fmt: skip
_WORD = re.compile(r'(?:[^\s"]|"[^"]*")+')


class AllowedSigner(NamedTuple):
    """One line: who may sign (patterns, as in ssh-keygen's file) with which key."""

    principals: list[str]
    key_type: str
    key: str
    """Base64."""

    def speaks_for(self, name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in self.principals)


def checked_key(text: str) -> str:
    """A public key as in known_hosts, `ssh-ed25519 AAAA… [comment]`. ValueError for anything else."""
    words = text.split()
    if len(words) < 2 or "\n" in text:
        raise ValueError("is no SSH public key; copy type and key, such as `ssh-ed25519 AAAA…`, into one line")
    _check(words[0], words[1])
    return text


def checked_signer(line: str) -> str:
    """A line of an allowed signers file. ValueError for anything else."""
    read_signer(line)
    return line


def read_signer(line: str) -> AllowedSigner:
    """`principals [options] type key [comment]`. ValueError when it is not that."""
    words = _WORD.findall(line)
    at = next((i for i in (1, 2) if len(words) > i and words[i] in KEY_TYPES), None)
    if at is None or len(words) <= at + 1 or "\n" in line:
        raise ValueError("is no line of an allowed signers file; write `alice@provider.example ssh-ed25519 AAAA…`")
    _check(words[at], words[at + 1])
    return AllowedSigner(words[0].split(","), words[at], words[at + 1])


def _check(key_type: str, key: str) -> None:
    """The key's own fields, each with its length before it, fill it exactly, and the first is the type."""
    if key_type not in KEY_TYPES:
        raise ValueError(f"{key_type!r} is no type of SSH public key; take the line of the .pub file")
    try:
        blob = base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        blob = b""
    fields = []
    while len(blob) >= 4 and len(blob) >= (end := 4 + int.from_bytes(blob[:4], "big")):
        fields.append(blob[4:end])
        blob = blob[end:]
    if blob or len(fields) < 2 or fields[0] != key_type.encode():
        raise ValueError(f"the key behind {key_type} is cut off or mistyped; copy the line of the .pub file again")
