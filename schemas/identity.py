"""Who is the same person: the canonical form of a subject, and the domain that a user name carries."""

from __future__ import annotations

from unicodedata import normalize


def canonical(subject: str, fold_case: bool = True, truncate: bool = False) -> str:
    """The form by which two spellings are one subject: NFC, trimmed, case-folded, NFC again.

    `fold_case=False` (a tenant's choice) leaves the case alone. `DOMAIN\\user` and a UPN stay two
    identities; with `truncate` (a tenant's choice too) both are the user's name without a domain. The result is never
    empty for a subject that the event contract accepts.
    """
    if truncate:
        whole = canonical(subject, fold_case)
        return whole.rpartition("\\")[2].partition("@")[0].strip() or whole
    if subject.isascii():  # NFC leaves ASCII as it is
        trimmed = subject.strip()
        return trimmed.lower() if fold_case else trimmed
    trimmed = normalize("NFC", subject).strip()
    return normalize("NFC", trimmed.casefold()) if fold_case else trimmed


def domain_of(subject: str) -> str | None:
    """The canonical UPN suffix of a user name (`alice@Customer.example` → `customer.example`), or None."""
    return canonical(subject).rpartition("@")[2] or None if "@" in subject else None
