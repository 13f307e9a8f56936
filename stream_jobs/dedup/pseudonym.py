"""Pseudonyms: a keyed hash in place of a name, so that ClickHouse holds no people (decision 11).

BLAKE2b in its keyed mode is a MAC (RFC 7693); 128 bits of it are the subject.
"""

from __future__ import annotations

from hashlib import blake2b


class Pseudonyms:
    """Hashes canonical identities, scoped by tenant, with a key of 32 bytes."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._tenants: dict[str, blake2b] = {}

    def of(self, tenant: str, canonical: str) -> bytes:
        """The 16 bytes that stand for this identity of this tenant."""
        scoped = self._tenants.get(tenant)
        if scoped is None:
            # A tenant's id holds no NUL, so no two pairs of tenant and identity hash the same text.
            scoped = self._tenants[tenant] = blake2b(f"{tenant}\0".encode(), key=self._key, digest_size=16)
        digest = scoped.copy()
        digest.update(canonical.encode())
        return digest.digest()
