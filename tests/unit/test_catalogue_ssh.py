"""SSH public keys in the catalogue: what ssh-keygen reads, and nothing that only looks like it."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest

from schemas.ssh import checked_key, checked_signer, read_signer


@pytest.fixture(scope="module", params=[("ed25519", 0), ("ecdsa", 521), ("rsa", 2048)], ids=lambda kind: kind[0])
def public_key(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    kind, bits = request.param
    file: Path = tmp_path_factory.mktemp("key") / "key"
    size = ["-b", str(bits)] if bits else []
    subprocess.run(["ssh-keygen", "-q", "-t", kind, *size, "-N", "", "-C", "a b", "-f", file], check=True)
    return file.with_suffix(".pub").read_text().strip()


def test_keys_as_ssh_keygen_writes_them(public_key: str) -> None:
    key_type, key, _ = public_key.split(" ", 2)
    assert checked_key(public_key) == public_key
    for line in (
        f"alice@provider.example {public_key}",
        f"alice@provider.example,*@backup.example {key_type} {key}",
        f'alice@provider.example namespaces="rollcall, other",valid-before="20300101" {public_key}',
        f"*@provider.example cert-authority {public_key}",
    ):
        assert checked_signer(line) == line
        signer = read_signer(line)
        assert (signer.key_type, signer.key) == (key_type, key)
        assert signer.speaks_for("alice@provider.example")
        assert not signer.speaks_for("mallory@elsewhere.example")


def test_what_is_no_public_key(public_key: str) -> None:
    key_type, key, _ = public_key.split(" ", 2)
    blob = base64.b64decode(key)
    broken = [
        key[:-4], key[:40], "A" + key[1:-1] + "!", "", base64.b64encode(blob + b"x").decode(),
        base64.b64encode(blob[:4] + b"x" + blob[5:]).decode(), base64.b64encode(blob[: 4 + len(key_type)]).decode(),
    ]  # fmt: skip
    for one in broken:
        with pytest.raises(ValueError, match="copy"):
            checked_key(f"{key_type} {one}")
        with pytest.raises(ValueError, match=r"copy|write"):
            checked_signer(f"alice {key_type} {one}")
    for line in (public_key, "alice", f"alice {key}", f"alice ssh-dss {key}", f"alice\n{public_key}", ""):
        with pytest.raises(ValueError, match="allowed signers"):
            checked_signer(line)
    for text in ("-----BEGIN OPENSSH PRIVATE KEY-----", key, "ssh-dss AAAA"):
        with pytest.raises(ValueError, match=r"SSH public key"):
            checked_key(text)
