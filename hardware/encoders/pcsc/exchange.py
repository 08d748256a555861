"""One command over T=0 or T=1: what ISO/IEC 7816-3 section 12 leaves to the host."""

from collections.abc import Callable
from typing import Final

from hardware.encoders.pcsc.codes import T0
from hardware.errors import ProtocolError
from hardware.iso7816 import Command, Response

MORE: Final = 0x61
WRONG_LE: Final = 0x6C
_GET_RESPONSE: Final = 0xC0
_CHANNELS: Final = 0x03
MOST: Final = 65536
"""No response is longer, however often the card says that there is more."""


def exchange(command: Command, protocol: int, send: Callable[[bytes], bytes]) -> Response:
    """Return the whole answer to *command*: what 61xx says is fetched with GET RESPONSE, 6Cxx says the length to ask for.

    Under T=0 a command with data is sent without Le (12.1.3), and there are no extended lengths. Raises ProtocolError.
    """
    apdu = bytes(command)
    short = len(command.data) <= 255 and (command.ne or 0) <= 256
    if protocol == T0:
        if not short:
            raise ProtocolError(f"{command.name}: {len(command.data)} bytes need extended lengths, which T=0 hasn't")
        apdu = apdu[: 5 + len(command.data)] if command.data else apdu
        apdu = apdu + b"\0" if len(apdu) == 4 else apdu
    response = Response.parse(send(apdu))
    if response.sw >> 8 == WRONG_LE and short and not command.data and command.ne is not None:
        response = Response.parse(send(apdu[:4] + bytes((response.sw & 0xFF,))))
    found = bytearray(response.data)
    while response.sw >> 8 == MORE and len(found) < MOST:
        response = _more(command, response.sw & 0xFF, send)
        found += response.data
    return Response(bytes(found), response.sw)


def _more(command: Command, length: int, send: Callable[[bytes], bytes]) -> Response:
    header = bytes((command.cla & _CHANNELS, _GET_RESPONSE, 0, 0))
    response = Response.parse(send(header + bytes((length,))))
    if response.sw >> 8 == WRONG_LE:
        response = Response.parse(send(header + bytes((response.sw & 0xFF,))))
    return response
