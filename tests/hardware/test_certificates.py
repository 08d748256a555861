from contextlib import suppress
from datetime import date, timedelta
from operator import itemgetter
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA224, SHA512
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.certificates import Authority, parse, split, verified
from hardware.crypto import Curve
from hardware.errors import AuthenticationError
from hardware.tlv import parse as tlvs
from hardware.tlv import tlv
from tests.hardware.issuing import (
    AGREES,
    FIRST,
    FORMS,
    LAST,
    SIGNS,
    TODAY,
    Key,
    globalplatform,
    issue,
    x509_certificate,
)
from tests.hardware.vectors import Vector, vectors

ROOT, MIDDLE, CARD, OTHER = Key("root"), Key("middle"), Key("card"), Key("other")
TRUSTED = [Authority(identifier=OTHER.identifier, curve=OTHER.curve, point=OTHER.point),
           Authority(identifier=ROOT.identifier, curve=ROOT.curve, point=ROOT.point)]  # fmt: skip
OPENSCP = vectors("scp11_openscp")


def chain(form: str, curve: Curve = Curve.P256) -> list[bytes]:
    leaf = Key("leaf", curve)
    return [issue(form, MIDDLE, ROOT, SIGNS), issue(form, leaf, MIDDLE)]


@pytest.mark.parametrize("v", OPENSCP, ids=itemgetter("id"))
@pytest.mark.parametrize(("which", "ca"), [("cert_oce", "ca_kloc"), ("cert_sd", "ca_klcc")])
def test_published_signatures_verify(v: Vector, which: str, ca: str) -> None:
    """In both forms, under the CA's key and no other. GlobalPlatform's is over all ahead of it, without 7F21."""
    found = parse(bytes.fromhex(v[which]))
    assert found.is_signed_by(Curve.P256, bytes.fromhex(v[ca]["point"]))
    other = {"ca_kloc": "ca_klcc", "ca_klcc": "ca_kloc"}[ca]
    assert not found.is_signed_by(Curve.P256, bytes.fromhex(v[other]["point"]))
    assert found.curve == Curve(v["curve"])
    assert found.agrees
    assert not found.signs


@pytest.mark.parametrize("v", OPENSCP, ids=itemgetter("id"))
def test_published_chains_are_trusted_until_they_expire(v: Vector) -> None:
    """The last day counts; the day after, and the day ahead of the first, don't.

    The GlobalPlatform certificate's expiry date, 141C0C1F, isn't the BCD that the specification has: it is valid on no day.
    """
    raw, given = bytes.fromhex(v["cert_sd"]), v["ca_klcc"]
    authority = Authority(
        identifier=bytes.fromhex(given["identifier"]), curve=Curve(given["curve"]), point=bytes.fromhex(given["point"])
    )
    is_x509 = raw[0] == 0x30
    for day in (date(2025, 2, 6), date(2026, 5, 9)) if is_x509 else ():
        assert verified([raw], [authority], day).point == parse(raw).point
    for day in (date(2025, 2, 5), date(2026, 5, 10)) if is_x509 else (TODAY, date(2028, 12, 31), date(9999, 12, 31)):
        with pytest.raises(AuthenticationError, match=f"certificate 1 isn't valid on {day}"):
            verified([raw], [authority], day)


def test_a_store_holds_certificates_one_after_another() -> None:
    """And nothing else."""
    both = [issue("X.509", CARD, ROOT), issue("GlobalPlatform", CARD, ROOT)]
    assert split(b"".join(both)) == tuple(both)
    assert split(b"") == ()
    for wrong in (b"\x53\x01\x00", both[0] + b"\x7f", both[0][:-1]):
        with pytest.raises(ValueError, match=r"certificate|cut short|states"):
            split(wrong)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("curve", Curve)
def test_a_chain_leads_to_the_key_of_its_last(form: str, curve: Curve) -> None:
    """Every certificate is signed by the one ahead of it, the first by an authority; their curves may differ."""
    found = verified(chain(form, curve), TRUSTED, TODAY)
    assert (found.curve, found.point) == (curve, Key("leaf", curve).point)
    assert verified([issue(form, CARD, ROOT)], TRUSTED, TODAY).point == CARD.point


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("curve", Curve)
def test_a_ca_may_be_on_any_curve(form: str, curve: Curve) -> None:
    """Its signatures take the hash of its size."""
    root = Key("big root", curve)
    trusted = [Authority(identifier=root.identifier, curve=curve, point=root.point)]
    assert verified([issue(form, CARD, root)], trusted, TODAY).point == CARD.point


@pytest.mark.parametrize("form", FORMS)
def test_wrong_chains(form: str) -> None:
    """Each is told from a right one in its own words."""
    first, last = chain(form)
    leaf = Key("leaf")
    middle_again = issue(form, MIDDLE, OTHER, SIGNS)
    wrong = {
        "there is no certificate": [],
        "signed by no CA that is trusted": [last],
        "the first certificate is signed by no CA": [issue(form, MIDDLE, Key("stranger"), SIGNS), last],
        "certificate 2 isn't signed by the one ahead": [issue(form, Key("middle", Curve.P384), ROOT, SIGNS), last],
        "certificate 2 doesn't name the one ahead": [first, issue(form, leaf, OTHER)],
        "the last certificate isn't for key agreement": [first, issue(form, leaf, MIDDLE, SIGNS)],
        "certificate 1 isn't that of a CA": [issue(form, MIDDLE, ROOT, AGREES), last],
        "certificate 1 isn't valid": [issue(form, MIDDLE, ROOT, SIGNS, last=TODAY - timedelta(1)), last],
        "certificate 2 isn't valid": [first, issue(form, leaf, MIDDLE, first=TODAY + timedelta(1))],
        "can't be read": [first, last[:-1]],
    }
    for said, certificates in wrong.items():
        with pytest.raises(AuthenticationError, match=said):
            verified(certificates, TRUSTED, TODAY)
    assert verified([middle_again, last], TRUSTED, TODAY).point == leaf.point


@pytest.mark.parametrize("form", FORMS)
def test_without_an_authority_nothing_is_trusted(form: str) -> None:
    """Not even a certificate that signs itself."""
    for authorities in ([], [Authority(identifier=ROOT.identifier, curve=Curve.P384, point=Key("root", Curve.P384).point)]):
        with pytest.raises(AuthenticationError, match="no CA that is trusted"):
            verified([issue(form, ROOT, ROOT)], authorities, TODAY)


def test_forms_are_not_mixed() -> None:
    """A chain is of one form."""
    with pytest.raises(AuthenticationError, match="certificate 2 doesn't name"):
        verified([issue("X.509", MIDDLE, ROOT, SIGNS), issue("GlobalPlatform", CARD, MIDDLE)], TRUSTED, TODAY)


def test_a_globalplatform_certificate_names_its_ca() -> None:
    """The signature alone isn't enough."""
    with pytest.raises(AuthenticationError, match="no CA that is trusted"):
        verified([globalplatform(CARD, ROOT, issuer=b"another")], TRUSTED, TODAY)


@pytest.mark.parametrize("extra", ["5300", "7303800101", "BF2003EF0100", "53015373 00"])
def test_optional_data_objects(extra: str) -> None:
    """Discretionary data and SCP11c authorizations may be there, effective dates may not."""
    found = parse(globalplatform(CARD, ROOT, first=None, extra=bytes.fromhex(extra)))
    assert found.first == date.min
    assert found.is_signed_by(ROOT.curve, ROOT.point)


@pytest.mark.parametrize("tag", [0x93, 0x42, 0x5F20, 0x95, 0x5F24, 0x7F49, 0x5F37])
def test_a_globalplatform_certificate_is_whole(tag: int) -> None:
    """What is mandatory is there, once."""
    items = list(tlvs(next(tlvs(globalplatform(CARD, ROOT)))[1]))
    for wrong in ([each for each in items if each[0] != tag], [*items, next(each for each in items if each[0] == tag)]):
        with pytest.raises(ValueError, match="has other data objects"):
            parse(tlv(0x7F21, b"".join(tlv(*each) for each in wrong)))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"usage": "88"}, "key usage 88 isn't known"),
        ({"extra": b"\x54\x00"}, "other data objects"),
        ({"reference": "02"}, "on no curve"),
        ({"reference": "01"}, "a point on P-384 has 97 bytes, not 65"),
        ({"reference": "03"}, "(?i)point|key|curve"),
    ],
)
def test_what_a_globalplatform_certificate_must_not_say(wrong: dict[str, Any], said: str) -> None:
    """An unknown usage, data object or curve, and a point that isn't on its curve."""
    with pytest.raises(ValueError, match=said):
        parse(issue("GlobalPlatform", CARD, ROOT, **wrong))


def test_globalplatform_signatures_may_be_der() -> None:
    """As the published certificates have them; a cut one is none."""
    raw = next(tlvs(globalplatform(CARD, ROOT)))[1]
    *covered, (_, plain) = tlvs(raw)
    halves = [half.lstrip(b"\0") for half in (plain[:32], plain[32:])]
    der = b"".join(tlv(0x02, b"\0" * (half[0] >> 7) + half) for half in halves)
    body = b"".join(tlv(*each) for each in covered)
    assert parse(tlv(0x7F21, body + tlv(0x5F37, tlv(0x30, der)))).is_signed_by(ROOT.curve, ROOT.point)
    assert not parse(tlv(0x7F21, body + tlv(0x5F37, plain[:-1]))).is_signed_by(ROOT.curve, ROOT.point)
    assert not parse(tlv(0x7F21, body + tlv(0x5F37, bytes(64)))).is_signed_by(ROOT.curve, ROOT.point)


def test_a_ca_may_limit_what_is_beneath_it() -> None:
    """pathLenConstraint (RFC 5280 section 4.2.1.9)."""
    low = Key("low")
    rest = [x509_certificate(low, MIDDLE, SIGNS), x509_certificate(CARD, low)]
    assert verified([x509_certificate(MIDDLE, ROOT, SIGNS, below=1), *rest], TRUSTED, TODAY).point == CARD.point
    with pytest.raises(AuthenticationError, match="certificate 1 isn't that of a CA that may sign the next one"):
        verified([x509_certificate(MIDDLE, ROOT, SIGNS, below=0), *rest], TRUSTED, TODAY)


def test_a_critical_extension_must_be_understood() -> None:
    """Another one that isn't critical does no harm (RFC 5280 section 4.2)."""
    extension = x509.ExtendedKeyUsage([x509.ObjectIdentifier("1.2.840.114283.100.0.10.2.1.0")])
    assert parse(x509_certificate(CARD, ROOT, extensions=((extension, False),))).agrees
    with pytest.raises(ValueError, match=r"critical extension 2\.5\.29\.37 isn't known"):
        parse(x509_certificate(CARD, ROOT, extensions=((extension, True),)))


def test_signatures_are_over_256_bits_or_more() -> None:
    """A weaker hash signs nothing."""
    for digest, expected in ((SHA224(), False), (SHA512(), True)):
        assert parse(x509_certificate(CARD, ROOT, digest=digest)).is_signed_by(ROOT.curve, ROOT.point) is expected


@pytest.mark.parametrize("raw", ["", "00", "3000", "30030101FF", "7F2100", "7F21820001", "9301007F2100"])
def test_what_is_no_certificate(raw: str) -> None:
    """Hostile bytes are no more than a ValueError."""
    with pytest.raises(ValueError, match=r"."):
        parse(bytes.fromhex(raw))


@settings(max_examples=200, deadline=None)
@given(form=st.sampled_from(FORMS), at=st.integers(0, 1000), new=st.binary(max_size=4), cut=st.integers(0, 4))
def test_hostile_certificates_are_no_more_than_a_value_error(form: str, at: int, new: bytes, cut: int) -> None:
    """Bytes put in, changed or cut out anywhere: it can't be read, or isn't trusted."""
    raw = issue(form, CARD, ROOT)
    at %= len(raw)
    wrong = raw[:at] + new + raw[at + cut :]
    with suppress(ValueError):
        parse(wrong)
    if wrong != raw:
        with pytest.raises(AuthenticationError):
            verified([wrong], TRUSTED, TODAY)


@pytest.mark.parametrize("form", FORMS)
def test_no_flipped_bit_is_trusted(form: str) -> None:
    """Wherever it is, the certificate can't be read or isn't trusted."""
    raw = issue(form, CARD, ROOT)
    for at in range(len(raw)):
        wrong = bytearray(raw)
        wrong[at] ^= 0x01
        with pytest.raises(AuthenticationError):
            verified([bytes(wrong)], TRUSTED, TODAY)


def test_days_are_whole() -> None:
    """From the first day on, up to and with the last."""
    for form in FORMS:
        for day in (FIRST, LAST):
            assert verified([issue(form, CARD, ROOT)], TRUSTED, day).point == CARD.point
        for day in (FIRST - timedelta(1), LAST + timedelta(1)):
            with pytest.raises(AuthenticationError, match="isn't valid on"):
                verified([issue(form, CARD, ROOT)], TRUSTED, day)
