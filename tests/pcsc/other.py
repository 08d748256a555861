"""Another program that wants the card: `python -m tests.pcsc.other READER SHARE [transaction]`.

It connects, says the code that it got, and holds what it has until its standard input ends.
"""

import sys

from smartcard import scard


def main() -> None:
    """Connect as the arguments say, and hold on."""
    reader, share, *transaction = sys.argv[1:]
    _code, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)
    protocols = 0 if share == "DIRECT" else scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
    code, card, _protocol = scard.SCardConnect(context, reader, getattr(scard, f"SCARD_SHARE_{share}"), protocols)
    if transaction:
        code = scard.SCardBeginTransaction(card)
    sys.stdout.write(f"{code & 0xFFFFFFFF:08X}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
