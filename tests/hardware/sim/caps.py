"""Build small CAP load files, component by component (JCVM chapter 6)."""

from hardware.tlv import length

PACKAGE = bytes.fromhex("A00000000401")
MODULE = bytes.fromhex("A0000000040101")
INSTANCE = bytes.fromhex("A0000000041010")
ORDER = (1, 2, 4, 3, 6, 7, 8, 10, 5, 9, 11)


def components(package: bytes = PACKAGE, modules: tuple[bytes, ...] = (MODULE,), code: int = 40) -> dict[int, bytes]:
    """Return the contents of every component but the Directory's, by tag; *code* is the Method component's size."""
    header = bytes.fromhex("DECAFFED010204" + "0001") + bytes((len(package),)) + package
    imported = b"\x01\x00\x01\x07" + bytes.fromhex("A0000000620101")
    applets = bytes((len(modules),)) + b"".join(bytes((len(aid),)) + aid + b"\0\x10" for aid in modules)
    filled = {1: header, 4: imported, 3: applets, 6: b"\0\0", 7: bytes(code), 8: bytes(10), 5: b"\0\0", 9: bytes(4)}
    return {**filled, 2: directory(filled, len(modules))}


def directory(filled: dict[int, bytes], applets: int, *, debug: int | None = None) -> bytes:
    """Return the Directory component of CAP format 2.1; with *debug* that of 2.2, which lists one entry more."""
    entries = 11 if debug is None else 12
    size = 2 * entries + 9
    sizes = {tag: len(content) for tag, content in filled.items()} | {2: size, 12: debug or 0}
    table = b"".join(sizes.get(tag, 0).to_bytes(2, "big") for tag in range(1, entries + 1))
    return table + bytes(6) + bytes((1, applets, 0))


def join(parts: dict[int, bytes], order: tuple[int, ...] = ORDER) -> bytes:
    """Return the load file data block of *parts* in *order*."""
    found = (tag for tag in order if tag in parts)
    return b"".join(bytes((tag,)) + len(parts[tag]).to_bytes(2, "big") + parts[tag] for tag in found)


def load_file(block: bytes) -> bytes:
    """Return *block* under C4."""
    return b"\xc4" + length(len(block)) + block


CAP = join(components())
