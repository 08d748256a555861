"""Traces in words: what an engineer reads, and what nobody may."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.gp import commands
from hardware.iso7816 import Command
from hardware.tlv import tlv
from hardware.trace import Exchange, Trace
from hardware.trace.storing import NOTHING, after
from hardware.trace.words import answer_lines, command_lines, lines
from tests.hardware.traces import FCI, PAN, PIN, altered, apdu, card, exchange, exchanges, hidden, trace


@pytest.fixture(scope="module", params=["payment-scp02", "export-scp03"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trace:
    """Return the trace of a whole card."""
    return card(tmp_path_factory.mktemp("world"), request.param)


@pytest.fixture(scope="module")
def scp02(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the lines of a whole SCP02 card."""
    return [*lines(card(tmp_path_factory.mktemp("world"), "payment-scp02"))]


def text(block: str) -> list[str]:
    """Return the lines of *block*, which stands eight deep."""
    return [line.removeprefix("        ") for line in block.strip("\n").splitlines()][:-1]


def request(command: Command) -> list[str]:
    """Return what is said of a command's header and data, without its first line."""
    return [line.strip() for line in [*command_lines(command)][1:]]


def answer(command: Command, response: str) -> list[str]:
    """Return what is said of an answer."""
    return [line.removeprefix("    ") for line in answer_lines(exchange(command, response))]


def test_head_and_first_phase(scp02: list[str]) -> None:
    """The ATR in words, the times of card and host, each command with its answer below."""
    head = text("""
        payment-scp02 on sim1, 2026-11-23 03:00:00.000+00:00
        ATR 3B878131FE45504552534F3032D5: direct, T=1, up to 10 kbit/s, historical bytes PERSO02
        19 commands, card 4.75 ms, host 4.50 ms

        open the channel  (3 commands, card 0.75 ms, host 0.50 ms)
           1        0.00    > SELECT                         00 A4 04 00  Lc 08  Le 00
                                by name, first or only occurrence
                                AID  A000000151000000
                            < 9000 done, 18 bytes, 0.25 ms
                                6F file control information
                                  84 AID                       A000000151000000
                                  A5 proprietary data
                                    9F65 longest command data  FF 255 bytes
           2        0.50    > INITIALIZE UPDATE              80 50 20 00  Lc 08  Le 00
                                key set 20
                                host challenge  1122334455667788
                            < 9000 done, 28 bytes, 0.25 ms
                                diversification data  0102030405060708090A
                                key set               20
                                protocol              SCP02
                                sequence counter      0000
                                card challenge        96FB8700F904
                                card cryptogram       4C7C1C850C7D0E32
           3        1.00    > EXTERNAL AUTHENTICATE          84 82 03 00  Lc 10
                                security level 03: C-MAC, C-DECRYPTION
                                host cryptogram  2AF40A521F694A6C
                                C-MAC            902F2E300077A42F
                            < 9000 done, 0.25 ms
        """)
    assert scp02[: len(head)] == head


def test_chip_and_registry_are_told_in_words(scp02: list[str]) -> None:
    """Who the chip is and what it holds, and how long a protected command became."""
    shown = text("""
        identify  (1 command, card 0.25 ms, host 0.25 ms)
           4        1.50    > GET DATA 9F7F                  80 CA 9F 7F  Le 00  (sent as 14 bytes)
                                tag 9F7F card production data (CPLC)
                            < 9000 done, 45 bytes, 0.25 ms
                                9F7F card production data (CPLC)
                                  IC                   fabricator 4790, type 5041, date 5100, serial 01000001, batch 0000
                                  operating system     id 4791, date 5001, level 0100
                                  module               fabricator 4792, date 5101
                                  card                 manufacturer 4793, embedding date 5102
                                  pre-personalization  id 0000, date 0000, equipment 00000000
                                  personalization      id 0000, date 0000, equipment 00000000

        read what the card holds  (3 commands, card 0.75 ms, host 0.75 ms)
           5        2.00    > GET STATUS                     80 F2 80 02  Lc 02  Le 00  (sent as 22 bytes)
                                Issuer Security Domain, first answer
                                4F AID  any
                            < 9000 done, 31 bytes, 0.25 ms
                                E3 registry entry
                                  4F AID                 A000000151000000
                                  9F70 life cycle state  01 OP_READY
        """)
    start = scp02.index(shown[0])
    assert scp02[start : start + len(shown)] == shown


def test_values_are_masked_and_counted_over_commands(scp02: list[str]) -> None:
    """Tags and lengths stay; a DGI longer than a command goes on in the next one."""
    shown = text("""
        personalize A0000000041010: 3 elements in 4 STORE DATA  (5 commands, card 1.25 ms, host 1.25 ms)
          12        5.50    > INSTALL [for personalization]  80 E6 20 00  Lc 0D  Le 00  (sent as 30 bytes)
                                for personalization
                                application  A0000000041010
                            < 9000 done, 1 byte, 0.25 ms
                                no receipt
          13        6.00    > STORE DATA                     80 E2 08 00  Lc 0D  (sent as 29 bytes)
                                block 0, more follow, no encryption, DGIs
                                DGI 0101 record 1 of SFI 1  10 bytes (masked)
                            < 9000 done, 0.25 ms
          14        6.50    > STORE DATA                     80 E2 68 01  Lc 13  (sent as 37 bytes)
                                block 1, more follow, all encrypted, DGIs
                                DGI 8010 reference PIN block  16 bytes (masked)
                            < 9000 done, 0.25 ms
          15        7.00    > STORE DATA                     80 E2 08 02  Lc EF  (sent as 253 bytes)
                                block 2, more follow, no encryption, DGIs
                                DGI 9102 answer to SELECT  301 bytes (masked), 234 here, 67 to come
                            < 9000 done, 0.25 ms
          16        7.50    > STORE DATA                     80 E2 88 03  Lc 43  (sent as 85 bytes)
                                block 3, last, no encryption, DGIs
                                DGI 9102 answer to SELECT  301 bytes (masked), the last 67
                            < 9000 done, 0.25 ms
        """)
    start = scp02.index(shown[0])
    assert scp02[start : start + len(shown)] == shown


def test_no_value_of_the_record_shows(whole: Trace) -> None:
    """Neither PAN nor PIN block nor any part of them, in whatever case."""
    shown = "\n".join(lines(whole)).upper()
    for value in (PAN, PIN, FCI):
        assert not any(value[at : at + 8] in shown for at in range(0, len(value) - 7, 2))


def test_lines_fit_a_terminal(whole: Trace) -> None:
    """120 columns are enough, and nothing hangs over the right of a line."""
    for line in lines(whole):
        assert len(line) <= 120
        assert line == line.rstrip()


def test_scp03_answer_is_taken_apart(tmp_path: Path) -> None:
    """With its option in words and its counter at the end."""
    shown = [line.strip() for line in lines(card(tmp_path, "export-scp03"))]
    start = shown.index("protocol              SCP03 i=10: pseudo-random challenge")
    assert [line.split("  ")[0] for line in shown[start - 2 : start + 4]] == [
        "diversification data", "key set", "protocol", "card challenge", "card cryptogram", "sequence counter",
    ]  # fmt: skip


PUBLIC = "A0000000041010"
REQUESTS = [
    ("00A40402" + PUBLIC, ["by name, next occurrence", "AID  " + PUBLIC]),
    ("00A400003F00", ["by file identifier, first or only occurrence", "file  3F00"]),
    ("00A4FF00", ["P1 FF, first or only occurrence"]),
    ("80500000" + "11" * 8, ["key set 00, the card's default", "host challenge  1111111111111111"]),
    ("84820000" + "11" * 16, ["security level 00: no secure messaging", "host cryptogram  1111111111111111",
                               "C-MAC            1111111111111111"]),
    ("84823300" + "11" * 15, ["security level 33: C-MAC, C-DECRYPTION, R-MAC, R-ENCRYPTION", "data  " + "11" * 15]),
    ("802A8490" + "7F21", ["certificate under key 10 of key set 04, more blocks of it follow, another certificate follows",
                           "data  7F21"]),
    ("80820311" + "A60D9002110195013C800188810110" + "5F490104",
     ["key 11 of key set 03", "A6 control references for key agreement", "90 protocol and option  1101",
      "95 key usage            3C", "80 key type             88", "81 key length           10",
      "5F49 public key           04"]),
    ("80880313" + "5F490104", ["key 13 of key set 03", "5F49 public key  04"]),
    ("80E60200" + "07" + PUBLIC + "00" + "02ABCD" + "04EF02C600" + "00",
     ["for load", "load file                     " + PUBLIC, "load file hash                ABCD", "parameters",
      "EF system parameters", "C6 least memory for code  (empty)",
      "(empty)                       security domain, token"]),
    ("80E60C00" + "07" + PUBLIC + "07" + PUBLIC + "07" + PUBLIC + "0304" + "0020" + "04C90201FF" + "0101",
     ["for install, make selectable", "load file                    " + PUBLIC, "module                       " + PUBLIC,
      "application                  " + PUBLIC, "privileges                   040020 card reset, contactless activation",
      "parameters", "C9 application parameters  01FF", "token                        01"]),
    ("80E61000" + "07" + PUBLIC + "00" + "07" + PUBLIC + "000000",
     ["for extradition", "security domain  " + PUBLIC, "application      " + PUBLIC, "(empty)          parameters, token"]),
    ("80E64000" + "0000" + "07" + PUBLIC + "01100000",
     ["for registry update", "application  " + PUBLIC, "privileges   10 card lock",
      "(empty)      security domain, parameters, token"]),
    ("80E60E00" + "0101", ["for load, install, make selectable", "data  0101"]),
    ("80E60E01" + "07" + PUBLIC + "00000000",
     ["for load, install, make selectable", "load file  " + PUBLIC,
      "(empty)    security domain, load file hash, parameters, token"]),
    ("80E60E03" + "0000" + "07" + PUBLIC + "000000",
     ["for load, install, make selectable", "application  " + PUBLIC,
      "(empty)      load file, module, privileges, parameters, token"]),
    ("80E602000A" + PUBLIC, ["for load", "data  0A" + PUBLIC]),
    ("80E80000" + "E2094F03A00000C302ABCD" + "C481AA" + "00" * 20,
     ["block 0, more follow", "E2 DAP block             9 bytes", "C4 load file data block  170 bytes",
      "code                     20 bytes here"]),
    ("80E88005" + "00" * 20, ["block 5, last", "code  20 bytes here"]),
    ("80E80000" + "C4", ["block 0, more follow", "data  C4"]),
    ("80F24003" + "4F03A000005C024F9F",
     ["applications and security domains, next answer", "4F AID             A00000", "5C tags asked for  4F9F"]),
    ("80F22000" + "4F00", ["load files, first answer, deprecated form", "4F AID  any"]),
    ("80CA00C1", ["tag C1 sequence counter"]),
    ("80CA1234", ["tag 1234"]),
    ("80E40080" + "4F07" + PUBLIC, ["with what was made from it", "4F AID  " + PUBLIC]),
    ("80E40000" + "D00101D20120", ["keys", "D0 key identifier      01", "D2 key version number  20"]),
    ("80D82081" + "30" + "8010" + "AB" * 16, ["into key set 20, from key identifier 01 on, several keys",
                                             "new key set  30", "keys         18 bytes (masked)"]),
    ("80D80001" + "30", ["a new key set, from key identifier 01 on", "new key set  30", "keys         0 bytes (masked)"]),
    ("80F0800F", ["the card to 0F SECURED"]),
    ("80F04083" + PUBLIC, ["an application or security domain to 83 LOCKED, before INSTALLED", "AID  " + PUBLIC]),
    ("80F0401F" + PUBLIC, ["an application or security domain to 1F the application's own state", "AID  " + PUBLIC]),
    ("80F0400C" + PUBLIC, ["an application or security domain to 0C unknown state", "AID  " + PUBLIC]),
    ("00B2010C", ["record 1 of SFI 1"]),
    ("00E2010C7000", ["data  7000"]),
    ("90001122", []),
]  # fmt: skip


@pytest.mark.parametrize(("command", "said"), REQUESTS, ids=[command[:8] for command, _ in REQUESTS])
def test_command_is_said_in_words(command: str, said: list[str]) -> None:
    """Header and data; what doesn't have the form that its header claims is shown in hex."""
    assert request(apdu(command)) == said


FCI_ANSWER = "6F108408A000000151000000A5049F6501FF"
ENTRY = "E31B4F07A00000000410109F70018FC50180C406A00000000401CF0140"
ANSWERS = [
    ("00A404009F", FCI_ANSWER, [
        "6F file control information", "  84 AID                       A000000151000000", "  A5 proprietary data",
        "    9F65 longest command data  FF 255 bytes"]),
    ("00A404009F", FCI_ANSWER[:-2], ["data  " + FCI_ANSWER[:-2]]),
    ("00A404009F", "6F05A5034F0500", ["6F file control information", "  A5 proprietary data  4F0500 (no TLV)"]),
    ("00A404009F", "6F80840101" + "0000", ["data  6F808401010000"]),
    ("80F24002", ENTRY, [
        "E3 registry entry", "  4F AID                 A0000000041010",
        "  9F70 life cycle state  8F LOCKED, before PERSONALIZED", "  C5 privileges          80 security domain",
        "  C4 load file           A00000000401", "  CF implicit selection  40"]),
    ("80F22002", "E3154F06A000000004019F700101CE0201008403A00000", [
        "E3 registry entry", "  4F AID                 A00000000401", "  9F70 life cycle state  01 LOADED",
        "  CE load file version   0100", "  84 module              A00000"]),
    ("80F24000", "07" + PUBLIC + "8710" + "05A0000000040700", [
        "A0000000041010  87 LOCKED, before SELECTABLE, privileges 10", "A000000004      07 SELECTABLE, privileges 00"]),
    ("80F21001", "05A0000000040100" + "02" + "07" + PUBLIC + "05A000000005", [
        "A000000004  01 LOADED, privileges 00", "  module    A0000000041010", "  module    A000000005"]),
    ("80F24000", "07" + PUBLIC, ["data  07" + PUBLIC]),
    ("80F28002", "E3079F700102C50112", ["E3 registry entry", "  9F70 life cycle state  02 unknown state",
                                        "  C5 privileges          12 card lock, CVM management"]),
    ("80CA00E0", "E010C00401208010C0080220881088108810", [
        "E0 key information", "  C0 key  01208010 key 01 of key set 20: DES 16 bytes",
        "  C0 key  0220881088108810 key 02 of key set 20: AES 16 bytes, AES 16 bytes, AES 16 bytes"]),
    ("80CA00E0", "E006C00401FF8010", ["E0 key information", "  C0 key  01FF8010 key 01 of key set FF: DES 16 bytes"]),
    ("80CA00E0", "E008C0060120FF800010", ["E0 key information", "  C0 key  0120FF800010"]),
    ("80CA0066", "660D730B06072A864886FC6B016400", [
        "66 card data", "  73 security domain data", "    06 object identifier  2A864886FC6B01 card recognition data",
        "    64 secure channel     (empty)"]),
    ("80CA00CF", "CF0A0102030405060708090A", ["CF diversification data  0102030405060708090A"]),
    ("80CA9F7F", "47905041" * 10 + "4790", [
        "IC                   fabricator 4790, type 5041, date 5041, serial 47905041, batch 4790",
        "operating system     id 4790, date 5041, level 4790", "module               fabricator 5041, date 4790",
        "card                 manufacturer 5041, embedding date 4790",
        "pre-personalization  id 5041, date 4790, equipment 50414790",
        "personalization      id 5041, date 4790, equipment 50414790"]),
    ("80CA9F7F", "9F7F024790", ["9F7F card production data (CPLC)  4790"]),
    ("80502000", "0102030405060708090A" + "2001" + "11" * 8 + "22" * 8, [
        "diversification data  0102030405060708090A", "key set               20", "protocol              SCP01",
        "card challenge        1111111111111111", "card cryptogram       2222222222222222"]),
    ("80502000", "0102030405060708090A" + "300361" + "11" * 16 + "22" * 16, [
        "diversification data  0102030405060708090A", "key set               30",
        "protocol              SCP03 i=61: S16, R-MAC, R-ENCRYPTION", "card challenge        " + "11" * 16,
        "card cryptogram       " + "22" * 16]),
    ("80502000", "0102030405060708090A" + "2002" + "0000" + "11" * 6 + "22" * 7,
     ["data  0102030405060708090A20020000" + "11" * 6 + "22" * 7]),
    ("80502000", "0102030405060708090A" + "2002" + "0000" + "11" * 15,
     ["data  0102030405060708090A20020000" + "11" * 15]),
    ("80502000", "0102030405060708090A" + "2004" + "11" * 16, ["data  0102030405060708090A2004" + "11" * 16]),
    ("80880313", "5F490104860101", ["5F49 public key  04", "86 receipt       01"]),
    ("80E40000", "0A02ABCD02000103112233", [
        "receipt                 ABCD", "confirmation counter    0001", "security domain's data  112233",
    ]),
    ("80E40000", "05AB", ["data  05AB"]),
    ("80840000", "0123456789ABCDEF", ["data  0123456789ABCDEF"]),
]  # fmt: skip


@pytest.mark.parametrize(("command", "data", "said"), ANSWERS)
def test_answer_is_said_in_words(command: str, data: str, said: list[str]) -> None:
    """Tags by the names that they have where they stand; an ill-made answer is shown in hex."""
    first, *others = answer(apdu(command), data + "9000")
    assert first == f"< 9000 done, {len(data) // 2} bytes, 1.50 ms"
    assert others == said


@pytest.mark.parametrize(
    ("sw", "said"),
    [
        ("9000", "< 9000 done"),
        ("6310", "! 6310 done, more data available"),
        ("6A84", "! 6A84 not enough memory"),
        ("6112", "! 6112 done, 18 more bytes to fetch"),
        ("6100", "! 6100 done, 256 more bytes to fetch"),
        ("6C1C", "! 6C1C wrong Le, 1C is the right one"),
        ("63C2", "! 63C2 verification failed, 2 tries left"),
        ("6381", "! 6381 warning, something changed"),
        ("6F01", "! 6F01 no precise diagnosis"),
        ("9999", "! 9999 see the card's manual"),
    ],
)
def test_status_word_is_said_in_words(sw: str, said: str) -> None:
    """One by one or by their families; what the command doesn't accept stands out."""
    assert answer(apdu("80F00000"), sw) == [f"{said}, 1.50 ms"]


def test_accepted_refusal_is_no_alarm() -> None:
    """GET STATUS that finds nothing has been answered."""
    assert answer(commands.get_status(commands.APPLICATIONS), "6A88") == ["< 6A88 referenced data not found, 1.50 ms"]


def test_fault_stands_in_place_of_an_answer() -> None:
    """What is known, on one line, and nothing that a terminal would obey."""
    mute = exchange(apdu("80F00000"), None, fault="MuteCard: no\nanswer\x1b[2J\u202e")
    assert [*answer_lines(mute)] == ["! no answer, 1.50 ms: MuteCard: no answer [2J "]
    assert [*answer_lines(replace(mute, fault=""))] == ["! no answer, 1.50 ms: nobody has said why"]


@pytest.mark.parametrize(
    ("atr", "said"),
    [
        ("", "no answer to reset"),
        ("3B87", "ATR 3B87: the ATR breaks off"),
        ("3B021B5D", "ATR 3B021B5D: direct, T=0, up to 10 kbit/s, historical bytes 1B5D"),
    ],
)
def test_broken_or_missing_atr_is_said(atr: str, said: str) -> None:
    """Nothing of it reaches the terminal as a control character."""
    shown = [*lines(replace(trace(), atr=bytes.fromhex(atr)))]
    assert shown == [
        "by hand on desk over T=1, 2026-11-23 03:00:00.000+00:00",
        said,
        "0 commands, card 0.00 ms, host 0.00 ms",
    ]


def test_times_of_phases_are_apart() -> None:
    """The card's are the exchanges'; the host's lie between them and count to the phase that they prepare."""
    first = exchange(apdu("80780000"), start=0.0)
    second = replace(first, start=0.010, phase="other", octets=13)
    shown = [*lines(trace(first, second, replace(second, start=0.0120), replace(first, start=1.5)))]
    assert [line for line in shown if "card" in line and "ms" in line] == [
        "4 commands, card 6.00 ms, host 1495.50 ms",
        "by hand  (1 command, card 1.50 ms, host 0.00 ms)",
        "other  (2 commands, card 3.00 ms, host 9.00 ms)",
        "by hand  (1 command, card 1.50 ms, host 1486.50 ms)",
    ]
    assert shown[-2:] == [
        "   4     1500.00    > COMMAND                        80 78 00 00",
        "                    < 9000 done, 1.50 ms",
    ]
    assert shown[9] == "   2       10.00    > COMMAND                        80 78 00 00  (sent as 13 bytes)"


def stored(*blocks: tuple[str, tuple[tuple[int, int], ...] | None]) -> list[list[str]]:
    """Return what is said of STORE DATA one after the other: P1 P2 and data in hex, and the spans."""
    begun, said = NOTHING, []
    for block, secret in blocks:
        command = apdu("80E2" + block, secret=secret)
        said.append([line.strip() for line in [*command_lines(command, begun)][2:]])
        begun = after(begun, command)
    return said


def test_dgi_goes_on_until_its_last_byte() -> None:
    """Then others may follow in the same command (GPCS 11.11)."""
    said = stored(
        ("0800" + "9104FF0104" + "AA" * 100, ((5, 105),)),
        ("0801" + "AA" * 100, ((0, 100),)),
        ("8802" + "AA" * 60 + "9103021234" + "0201" + "00", ((0, 60), (63, 65))),
    )
    assert said == [
        ["DGI 9104 answer to GET PROCESSING OPTIONS  260 bytes (masked), 100 here, 160 to come"],
        ["DGI 9104 answer to GET PROCESSING OPTIONS  260 bytes (masked), 100 more, 60 to come"],
        [
            "DGI 9104 answer to GET PROCESSING OPTIONS  260 bytes (masked), the last 60",
            "DGI 9103 answer to SELECT                  2 bytes (masked)",
            "DGI 0201 record 1 of SFI 2                 0 bytes",
        ],
    ]


def test_dgi_between_other_commands_goes_on() -> None:
    """Reading something in between ends nothing."""
    begun = after(NOTHING, apdu("80E20800" + "9104050102", secret=((3, 5),)))
    assert after(begun, apdu("80CA009F")) == begun


def test_public_value_is_shown() -> None:
    """A script may say that nothing in it is secret."""
    assert stored(("8800" + "0070034501AA", ())) == [["DGI 0070 security domain data  3 bytes: 4501AA"]]


def test_partly_hidden_value_keeps_its_public_bytes() -> None:
    """What is masked is counted where it stands."""
    assert stored(("8800" + "0101045A021234", ((5, 7),))) == [["DGI 0101 record 1 of SFI 1  4 bytes: 5A02 (2 bytes masked)"]]


def test_header_cut_in_two_is_put_together() -> None:
    """Also where only the two-byte length is missing."""
    assert stored(("0800" + "9104FF", ()), ("8801" + "0002ABCD", ((2, 4),))) == [
        ["cut short  9104FF"],
        ["DGI 9104 answer to GET PROCESSING OPTIONS  2 bytes (masked)"],
    ]


@pytest.mark.parametrize("p1", ["08", "88"])
def test_block_00_begins_anew(p1: str) -> None:
    """After a refusal, in a new session and behind a last block nothing goes on (GPCS 11.11.2)."""
    said = stored((p1 + "00" + "91040A" + "AA" * 2, ((3, 5),)), ("0800" + "010101BB", ((3, 4),)))
    assert said[1] == ["DGI 0101 record 1 of SFI 1  1 byte (masked)"]


def test_behind_the_last_block_nothing_goes_on() -> None:
    """Even where the next number isn't 00."""
    said = stored(("8800" + "91040A" + "AA" * 2, ((3, 5),)), ("0801" + "010101BB", ((3, 4),)))
    assert said[1] == ["DGI 0101 record 1 of SFI 1  1 byte (masked)"]


def test_ber_tlv_goes_on_as_well() -> None:
    """P1 says the structure; a length that BER doesn't have is unreadable."""
    said = stored(("1000" + "5F2005" + "4142", ((3, 5),)), ("9001" + "434445" + "5A80", ((0, 3),)))
    assert said == [
        ["tag 5F20  5 bytes (masked), 2 here, 3 to come"],
        ["tag 5F20    5 bytes (masked), the last 3", "unreadable  5A80"],
    ]


def test_no_structure_is_taken_apart_as_none() -> None:
    """The data stay as they are."""
    assert stored(("8000" + "010101BB", ((2, 4),))) == [["data  0101 (2 bytes masked)"]]


def test_hidden_header_is_not_guessed() -> None:
    """Nor is what stands behind it."""
    assert stored(("8800" + "010101BB020201CC", ((0, 3),)), ("8801" + "01AA", ((1, 2),))) == [
        ["unreadable  (3 bytes masked) BB020201CC"],
        ["unreadable  01 (1 byte masked)"],
    ]


def test_nothing_is_parsed_where_nobody_has_said_what_is_secret() -> None:
    """Only lengths and the header are shown, and nothing is carried into the next command."""
    assert stored(("0800" + "91040A" + "AA" * 2, None), ("8801" + "010101BB", None)) == [
        ["data  5 bytes (masked)"],
        ["data  4 bytes (masked)"],
    ]
    assert request(apdu("80E60C00" + "07" + PUBLIC, secret=None)) == [
        "for install, make selectable",
        "data  8 bytes (masked)",
    ]
    assert request(apdu("80D80001" + "30AA", secret=None)) == [
        "a new key set, from key identifier 01 on",
        "data  2 bytes (masked)",
    ]


@pytest.mark.parametrize("secret", [None, ((0, 0),)])
def test_answer_to_a_command_that_is_not_public_is_masked_whole(secret: tuple[tuple[int, int], ...] | None) -> None:
    """Its length and the status word stay."""
    record = apdu("00B2010C", secret=secret)
    assert answer(record, "70035A0112" + "9000") == ["< 9000 done, 5 bytes, 1.50 ms", "data  5 bytes (masked)"]


def test_keys_are_never_shown() -> None:
    """PUT KEY that calls itself public doesn't get far."""
    assert "AB" not in " ".join(command_lines(apdu("80D80081" + "30" + "8010" + "AB" * 16)))


def test_command_is_said_before_it_is_sent() -> None:
    """Of a protected one what it protects; the spans are those of the plain one."""
    plain = commands.store_data(bytes.fromhex("0101025A01"), 0, 0x08, last=True, secret=((3, 5),))
    wrapped = replace(plain, cla=0x84, data=bytes.fromhex("C0" * 24), plain=plain)
    assert [*command_lines(wrapped)] == [
        "> STORE DATA                     80 E2 88 00  Lc 05  (sent as 29 bytes)",
        "    block 0, last, no encryption, DGIs",
        "    DGI 0101 record 1 of SFI 1  2 bytes (masked)",
    ]
    more = replace(plain, p1=0x08, data=bytes.fromhex("0101055A01"))
    assert after(NOTHING, replace(wrapped, plain=more)) == after(NOTHING, more) != NOTHING


def test_lengths_are_those_of_the_apdu() -> None:
    """Short, extended, and none at all."""
    first = [
        next(iter(command_lines(Command("X", 0, 0, 0, 0, bytes(size), ne, secret=()))))
        for size, ne in ((0, None), (0, 256), (255, 256), (256, 256), (1, 65536))
    ]
    assert [line.partition("00 00 00 00")[2].strip() for line in first] == [
        "", "Le 00", "Lc FF  Le 00", "Lc 0100  Le 0100", "Lc 0001  Le 0000",
    ]  # fmt: skip


def test_deep_nesting_ends_in_hex() -> None:
    """A thousand templates in each other neither fill the screen nor the stack."""
    data = b""
    for _ in range(1000):
        data = tlv(0xE3, data)
    shown = answer(apdu("80F24002"), (data + b"\x90\x00").hex())
    deepest = next(line for line in shown if "E382" in line)
    assert deepest.startswith(" " * 16 + "E3")
    assert all(line.strip() == "E3 registry entry" for line in shown[1 : shown.index(deepest)])


def test_longest_answer_is_soon_said() -> None:
    """65,536 bytes of the smallest TLVs, or of one that isn't any."""
    assert len(answer(apdu("80CA0000"), "5000" * 32767 + "9000")) == 32768
    assert answer(apdu("80CA0000"), "FF" * 65536 + "9000")[1].startswith("data  FFFF")


@given(st.lists(exchanges(), max_size=4))
def test_nothing_raises(given: list[Exchange]) -> None:
    """Whatever is in a trace, it is shown on lines that a terminal takes."""
    for line in lines(trace(*given)):
        assert line.isprintable()


@given(st.lists(exchanges(), max_size=4))
def test_output_does_not_depend_on_hidden_bytes(given: list[Exchange]) -> None:
    """Invert every one: not a character changes. So they show in no form, whatever the spans cover."""
    assert [*lines(trace(*given))] == [*lines(trace(*map(altered, given)))]
    for each in given:
        assert [*command_lines(each.command)] == [*command_lines(altered(each).command)]


@given(exchanges(), st.binary(min_size=4, max_size=90))
def test_no_window_of_a_hidden_value_shows(each: Exchange, value: bytes) -> None:
    """Four bytes of it in a row, in hex or raw, only if the public bytes have them too.

    Each is above BF, so that no word or blank of the output is taken for it.
    """
    command, places = each.command, set(hidden(each))
    data = bytes(value[at % len(value)] | 0xC0 if at in places else byte for at, byte in enumerate(command.data))
    secret = replace(each, command=replace(command, data=data))
    public = bytes(byte for at, byte in enumerate(data) if at not in places)
    public += each.response.data if each.response and command.secret == () else b""
    shown = "\n".join(lines(trace(secret)))
    for at in range(len(data) - 3):
        window = data[at : at + 4]
        if places.issuperset(range(at, at + 4)) and window.hex() not in public.hex():
            assert window.hex().upper() not in shown
            assert window.decode("latin-1") not in shown


def test_public_bytes_do_show() -> None:
    """The counterpart: of a public command and its answer each byte counts."""
    one, other = apdu("00A40400" + PUBLIC), apdu("00A40400" + PUBLIC[:-2] + "11")
    assert [*command_lines(one)] != [*command_lines(other)]
    assert answer(one, "4F01019000") != answer(one, "4F01029000")
