"""One search for what must stay secret, in every form that it could have taken."""

from base64 import b64encode
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.e2e.expected import Secret


def forms(secret: Secret) -> Iterator[tuple[str, bytes]]:
    """Yield every form of *secret* with its name."""
    written = {"raw": secret.value}
    if secret.kind == "PAN":
        digits = secret.value.decode()
        padded = digits + "F" * (len(digits) % 2)
        written["BCD"] = bytes.fromhex(padded)
        written["BCD with F padding"] = bytes.fromhex(padded.ljust(20, "F"))
        written["BCD from an odd nibble"] = bytes.fromhex(digits[1 : len(digits) - 1 + len(digits) % 2])
    for name, value in written.items():
        yield name, value
        yield f"{name}, HEX", value.hex().upper().encode()
        yield f"{name}, hex", value.hex().encode()
        for offset in range(3):
            text = base64_inside(value, offset)
            yield f"{name}, base64 at {offset}", text
            yield f"{name}, base64url at {offset}", text.replace(b"+", b"-").replace(b"/", b"_")


def base64_inside(value: bytes, offset: int) -> bytes:
    """Return the characters that *value* alone decides where base64 has *offset* other bytes before it."""
    text = b64encode(bytes(offset) + value)
    return text[-(-offset * 8 // 6) : (offset + len(value)) * 8 // 6]


def found(data: bytes, secrets: Iterable[Secret]) -> dict[Secret, str]:
    """Return the secrets that *data* betrays, each with the form in which it does."""
    betrayed = {}
    for secret in secrets:
        for form, needle in forms(secret):
            if needle in data:
                betrayed[secret] = form
                break
    return betrayed


def search(files: Iterable[Path], secrets: Iterable[Secret]) -> dict[str, list[str]]:
    """Return for each file that betrays anything what it betrays, without the secret itself."""
    wanted = list(secrets)
    leaks = {}
    for file in files:
        betrayed = found(file.read_bytes(), wanted)
        if betrayed:
            leaks[file.name] = sorted(f"{secret.kind}: {form}" for secret, form in betrayed.items())
    return leaks
