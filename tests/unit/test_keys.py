from infra.keys import fingerprint

KEY = bytes(range(32))


def test_a_fingerprint_is_stable_and_tells_keys_apart() -> None:
    # Stored in every database: it must never change.
    assert fingerprint(KEY) == "0dc543b36e340f9c0ca7be2da21b23f2"
    assert fingerprint(KEY[::-1]) != fingerprint(KEY)
    assert KEY.hex()[:8] not in fingerprint(KEY)
