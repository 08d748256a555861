"""Looks for secrets where none may be."""

import traceback


def assert_silent(shown: object, *secrets: bytes) -> None:
    """Assert that no secret is in what *shown* prints: str, repr and, of an exception, its whole traceback and arguments."""
    texts = [str(shown), repr(shown)]
    if isinstance(shown, BaseException):
        texts += ["".join(traceback.format_exception(shown)), repr(shown.args)]
    for secret in secrets:
        assert len(secret) >= 8
        forms = (secret.hex(), secret.hex(" "), repr(secret)[2:-1], repr(list(secret))[1:-1])
        for text in texts:
            assert not any(form.lower() in text.lower() for form in forms)
