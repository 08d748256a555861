"""Make perso.cap, the load file that the example card products load.

Its applet is a stand-in. The simulated card keeps personalization data itself and runs no bytecode, and there is no Java
Card toolchain here: the methods below are assembled by hand, do nothing useful (STORE DATA only feeds a checksum) and have
never run on a chip. What is true is the structure, component by component as JCVM 2.2 chapter 6 has it, and that is what the
simulated card's load-file check looks at. A bureau registers its issuer's real CAP files in its place.

    python config/products/make_cap.py      writes perso.cap beside this file, the same bytes every time

In Java the applet would read:

    package bureau.perso;
    public class PersoApplet extends Applet {
        private static final short[] CRC16 = { ... };
        private short checksum;
        protected PersoApplet() {}
        public static void install(byte[] parameters, short offset, byte length) {
            new PersoApplet().register(parameters, (short) (offset + 1), parameters[offset]);
        }
        public void process(APDU apdu) {
            if (selectingApplet()) return;
            byte[] buffer = apdu.getBuffer();
            if (buffer[1] != (byte) 0xE2) ISOException.throwIt((short) 0x6D00);
            short length = apdu.setIncomingAndReceive();
            for (short at = 0; at < length; at++)
                checksum = (short) (checksum >> 8 & 0xFF ^ CRC16[(checksum ^ buffer[(short) (5 + at)]) & 0xFF]);
        }
    }
"""

import io
import zipfile
from pathlib import Path

PACKAGE = bytes.fromhex("F0504552534F01")
APPLET = bytes.fromhex("F0504552534F0101")
NAME = b"bureau/perso"
FRAMEWORK = bytes.fromhex("A0000000620101")
LANG = bytes.fromhex("A0000000620001")
ACC_APPLET = 0x04


def u2(value: int) -> bytes:
    """Return *value* as two bytes, high byte first."""
    return value.to_bytes(2, "big")


def component(tag: int, info: bytes) -> bytes:
    """Put tag and size before *info* (JCVM 6.1)."""
    return bytes((tag,)) + u2(len(info)) + info


# References into javacard.framework, import 0, by the class and method tokens of its export file
APPLET_CLASS, ISO_EXCEPTION, APDU = b"\x80\x03", b"\x80\x07", b"\x80\x0a"
SHORT = 0x8004
"""A field of type short in the Descriptor component (JCVM 6.13.2)."""
THIS_CLASS = u2(2)
"""Offset of the one class_info in the Class component, behind an empty signature pool."""
TYPES = {
    "()V": "0110",
    "()Z": "0120",
    "S, ()S": "0140",
    "()[B": "01B0",
    "(S)V": "0241",
    "([BSB)V": "04B431",
    "(APDU)V": "066800A1",
    "[S": "01C0",
}
"""Count and nibbles (JCVM 6.8.1): 1 void, 2 boolean, 3 byte, 4 short, 6 a class (here 80 0A), B byte[], C short[]."""
POOL = (
    "checksum",
    "PersoApplet",
    "CRC16",
    "Applet.init",
    "PersoApplet.init",
    "register",
    "selectingApplet",
    "getBuffer",
    "setIncomingAndReceive",
    "throwIt",
)
"""What the constant pool's entries refer to."""

# method_info (JCVM 6.9): flags and max_stack, nargs and max_locals, then the bytecodes. References into the constant pool
# are its entries' names in angle brackets, <B:name> where the operand has one byte; >L and L: are jumps and their targets.
CONSTRUCTOR = """01 10
    18 8C <Applet.init> 7A                    ; aload_0 invokespecial return
"""
INSTALL = """05 30
    8F <PersoApplet> 3D 8C <PersoApplet.init> ; new dup invokespecial
    18 1D 04 41 18 1D 25                      ; aload_0 sload_1 sconst_1 sadd aload_0 sload_1 baload
    8B <register> 7A                          ; invokevirtual return
"""
PROCESS = """06 23
    18 8B <selectingApplet> 60 >command 7A    ; aload_0 invokevirtual ifeq return
    command:
    19 8B <getBuffer> 2D                      ; aload_1 invokevirtual astore_2
    1A 04 25 10 E2 6A >store                  ; aload_2 sconst_1 baload bspush if_scmpeq
    11 6D00 8D <throwIt>                      ; sspush invokestatic
    store:
    19 8B <setIncomingAndReceive> 32          ; aload_1 invokevirtual sstore_3
    03 29 04                                  ; sconst_0 sstore
    next:
    16 04 1F 6D >end                          ; sload sload_3 if_scmpge
    AF <B:checksum> 10 08 4F 11 00FF 53       ; getfield_s_this bspush sshr sspush sand
    7B <CRC16> AF <B:checksum>                ; getstatic_a getfield_s_this
    1A 08 16 04 41 25 57 11 00FF 53 26        ; aload_2 sconst_5 sload sadd baload sxor sspush sand saload
    57 B7 <B:checksum>                        ; sxor putfield_s_this
    59 04 01 70 >next                         ; sinc goto
    end:
    7A                                        ; return
"""
METHODS = ((0x00, 0x84, "()V", CONSTRUCTOR), (0x01, 0x09, "([BSB)V", INSTALL), (0x07, 0x01, "(APDU)V", PROCESS))
"""Token, access flags (JCVM 6.13.3), signature and code."""


def crc16(value: int) -> int:
    """Return an entry of the table of CRC_B (ISO/IEC 13239, reflected polynomial 8408)."""
    for _ in range(8):
        value = value >> 1 ^ (0x8408 if value & 1 else 0)
    return value


TABLE = b"".join(u2(crc16(value)) for value in range(256))


def assemble(source: str) -> tuple[bytes, list[int], list[int]]:
    """Return the method and the places in it of one-byte and of two-byte references into the constant pool."""
    code, bytes_at, words_at = bytearray(), list[int](), list[int]()
    labels: dict[str, int] = {}
    jumps: list[tuple[int, str]] = []
    for line in source.splitlines():
        for word in line.partition(";")[0].split():
            if word.endswith(":"):
                labels[word[:-1]] = len(code)
            elif word.startswith(">"):
                jumps.append((len(code), word[1:]))
                code.append(0)
            elif word.startswith("<B:"):
                bytes_at.append(len(code))
                code.append(POOL.index(word[3:-1]))
            elif word.startswith("<"):
                words_at.append(len(code))
                code += u2(POOL.index(word[1:-1]))
            else:
                code += bytes.fromhex(word)
    for at, label in jumps:  # counted from the opcode, which stands before its operand
        code[at] = (labels[label] - (at - 1)) & 0xFF
    return bytes(code), bytes_at, words_at


def distances(places: list[int]) -> bytes:
    """Return *places* as the Reference Location component counts them (JCVM 6.11): from one to the next, FF for each 255."""
    jumps = bytearray()
    for before, here in zip([0, *places], places, strict=False):
        jumps += b"\xff" * ((here - before) // 255) + bytes(((here - before) % 255,))
    return u2(len(jumps)) + bytes(jumps)


def link() -> tuple[bytes, list[int], bytes]:
    """Return the Method component, its methods' offsets, and the Reference Location component that belongs to it."""
    code, offsets, bytes_at, words_at = b"\0", list[int](), list[int](), list[int]()  # 00: no exception handlers
    for _, _, _, source in METHODS:
        method, byte_places, word_places = assemble(source)
        offsets.append(len(code))
        bytes_at += [len(code) + place for place in byte_places]
        words_at += [len(code) + place for place in word_places]
        code += method
    return code, offsets, distances(bytes_at) + distances(words_at)


def type_at(name: str) -> bytes:
    """Return where a type stands, counted from the type_descriptor_info's own start (JCVM 6.13.4)."""
    before = list(TYPES)[: list(TYPES).index(name)]
    return u2(2 + 2 * len(POOL) + sum(len(TYPES[other]) // 2 for other in before))


def constant_pool(constructor: int) -> list[tuple[bytes, bytes]]:
    """Return entries (JCVM 6.7: 1 class, 2 instance field, 3 virtual method, 5 static field, 6 static method) with types."""
    return [
        (b"\x02" + THIS_CLASS + b"\x00", type_at("S, ()S")),
        (b"\x01" + THIS_CLASS + b"\x00", u2(0xFFFF)),
        (b"\x05\x00" + u2(0), type_at("[S")),
        (b"\x06" + APPLET_CLASS + b"\x00", type_at("()V")),
        (b"\x06\x00" + u2(constructor), type_at("()V")),
        (b"\x03" + APPLET_CLASS + b"\x02", type_at("([BSB)V")),
        (b"\x03" + APPLET_CLASS + b"\x03", type_at("()Z")),
        (b"\x03" + APDU + b"\x01", type_at("()[B")),
        (b"\x03" + APDU + b"\x06", type_at("S, ()S")),
        (b"\x06" + ISO_EXCEPTION + b"\x01", type_at("(S)V")),
    ]


def descriptor(offsets: list[int], end: int, pool: list[tuple[bytes, bytes]]) -> bytes:
    """Return the Descriptor component (JCVM 6.13): one class, two fields, its methods, and all types."""
    classes = b"\x01" + b"\x00\x01" + THIS_CLASS + b"\x00" + u2(2) + u2(len(METHODS))
    fields = b"\xff\x1a\x00" + u2(0) + type_at("[S") + b"\x00\x02" + THIS_CLASS + b"\x00" + u2(SHORT)
    methods = b""
    for (token, access, signature, _), start, stop in zip(METHODS, offsets, [*offsets[1:], end], strict=True):
        methods += bytes((token, access)) + u2(start) + type_at(signature) + u2(stop - start - 2) + bytes(4)
    types = u2(len(pool)) + b"".join(kind for _, kind in pool) + bytes.fromhex("".join(TYPES.values()))
    return classes + fields + methods + types


def cap() -> bytes:
    """Return perso.cap."""
    code, offsets, references = link()
    constructor, install, process = offsets
    pool = constant_pool(constructor)
    infos = {
        "Import": b"\x02" + b"\x02\x01\x07" + FRAMEWORK + b"\x00\x01\x07" + LANG,
        "Applet": b"\x01" + bytes((len(APPLET),)) + APPLET + u2(install),
        # superclass, one short of instance data, no references, public methods from token 7: process
        "Class": u2(0) + b"\x00" + APPLET_CLASS + b"\x01\xff\x00" + b"\x07\x01" + b"\x00\x00" + u2(process),
        "Method": code,
        # image of one reference, which is one array of shorts
        "StaticField": u2(2) + u2(1) + u2(1) + b"\x04" + u2(len(TABLE)) + TABLE + u2(0) + u2(0),
        "ConstantPool": u2(len(pool)) + b"".join(entry for entry, _ in pool),
        "RefLocation": references,
        "Descriptor": descriptor(offsets, len(code), pool),
    }
    return archive(infos)


def archive(infos: dict[str, bytes]) -> bytes:
    """Add Header and Directory (JCVM 6.3, 6.4) to *infos* and zip all components, without compression or dates."""
    tags = {
        "Header": 1,
        "Directory": 2,
        "Applet": 3,
        "Import": 4,
        "ConstantPool": 5,
        "Class": 6,
        "Method": 7,
        "StaticField": 8,
        "RefLocation": 9,
        "Export": 10,
        "Descriptor": 11,
        "Debug": 12,
    }
    header = bytes.fromhex("DECAFFED") + b"\x02\x02" + bytes((ACC_APPLET,))
    header += b"\x00\x01" + bytes((len(PACKAGE),)) + PACKAGE + bytes((len(NAME),)) + NAME
    sizes = {name: len(info) for name, info in infos.items()} | {"Header": len(header), "Directory": 2 * 12 + 6 + 3}
    directory = b"".join(u2(sizes.get(name, 0)) for name in tags)
    directory += u2(2) + u2(1) + u2(len(TABLE)) + bytes((infos["Import"][0], infos["Applet"][0], 0))
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as file:
        for name, info in (infos | {"Header": header, "Directory": directory}).items():
            entry = zipfile.ZipInfo(f"{NAME.decode()}/javacard/{name}.cap", (1980, 1, 1, 0, 0, 0))
            entry.create_system = 3
            file.writestr(entry, component(tags[name], info))
    return content.getvalue()


if __name__ == "__main__":
    Path(__file__).with_name("perso.cap").write_bytes(cap())
