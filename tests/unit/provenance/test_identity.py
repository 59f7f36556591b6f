"""Papers that others accept and nobody else reads; and those that cannot sign, told in one sentence."""

from __future__ import annotations

import datetime as dt
import re
import shutil
import stat
import sys
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

import impasto
from impasto.errors import MissingExtraError, OutputError, SigningError
from impasto.provenance.identity import keep_identity, load_identity, make_identity

if TYPE_CHECKING:
    from pathlib import Path

EMAIL = ExtendedKeyUsageOID.EMAIL_PROTECTION


def pem(key, password: bytes | None = None) -> bytes:
    hidden = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, hidden)


def papers_of(folder: Path, key, *, days=(-1, 1), purpose=EMAIL, ca=False, signs=True) -> tuple[Path, Path]:
    """A key and a certificate as somebody else's authority might issue them."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Grace")])
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority")])
    authority, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)

    def certificate(subject, public, constraints, first, last) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + dt.timedelta(days=first))
            .not_valid_after(now + dt.timedelta(days=last))
            .add_extension(constraints, critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False)
        )

    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign"), False
    ) | {"encipher_only": False, "decipher_only": False}
    leaf = certificate(name, key.public_key(), x509.BasicConstraints(ca=ca, path_length=None), *days)
    leaf = leaf.add_extension(x509.KeyUsage(digital_signature=signs, key_cert_sign=not signs, **usage), critical=True)
    if purpose:
        leaf = leaf.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    top = certificate(issuer, authority.public_key(), x509.BasicConstraints(ca=True, path_length=0), -9, 9)
    top = top.add_extension(x509.KeyUsage(digital_signature=False, key_cert_sign=True, **usage), critical=True)
    folder.mkdir()
    (folder / "k.pem").write_bytes(pem(key))
    chain = (one.sign(authority, hashes.SHA256()).public_bytes(Encoding.PEM) for one in (leaf, top))
    (folder / "c.pem").write_bytes(b"".join(chain))
    return folder / "k.pem", folder / "c.pem"


def test_private_files_are_for_their_owner_alone(papers) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in papers.iterdir()}
    assert modes["key.pem"] == modes["authority-key.pem"] == 0o600
    assert set(modes) == {"key.pem", "authority-key.pem", "authority.pem", "certificates.pem"}
    assert stat.S_IMODE(papers.stat().st_mode) == 0o700


def test_papers_are_never_replaced_and_renewing_keeps_the_authority(papers, tmp_path) -> None:
    mine = shutil.copytree(papers, tmp_path / "mine")
    before = {path.name: path.read_bytes() for path in mine.iterdir()}
    with pytest.raises(OutputError, match="a key lies in"):
        make_identity(mine, name="Eve")
    assert {path.name: path.read_bytes() for path in mine.iterdir()} == before
    make_identity(mine, name="Ada", renew=True)
    changed = {path.name for path in mine.iterdir() if path.read_bytes() != before[path.name]}
    assert changed == {"key.pem", "certificates.pem"}
    with pytest.raises(SigningError, match="no authority of your own"):
        make_identity(tmp_path / "none", name="Ada", renew=True)


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP521R1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=["P-384", "P-521", "Ed25519", "RSA"],
)
def test_given_papers_of_every_kind_sign(key, painted, tmp_path, monkeypatch) -> None:
    kept = keep_identity(
        tmp_path / "kept", **dict(zip(("key", "certificates"), papers_of(tmp_path / "given", key), strict=True))
    )
    assert kept.signer == "Grace"
    assert stat.S_IMODE((tmp_path / "kept/key.pem").stat().st_mode) == 0o600
    path = impasto.sign(painted.save(tmp_path / "out.png"), f"local:{tmp_path / 'kept'}")
    assert impasto.verify(path).outcome == "valid"
    assert impasto.verify(path, trust=[tmp_path / "kept/authority.pem"]).outcome == "trusted"


@pytest.mark.parametrize(
    ("about", "says"),
    [
        ({"days": (-9, -2)}, r"of CN=Grace expired on \d{4}-\d\d-\d\d; ask its issuer"),
        ({"days": (2, 9)}, "is valid only from"),
        ({"purpose": None}, "has none of the purposes that C2PA takes"),
        ({"purpose": ExtendedKeyUsageOID.SERVER_AUTH}, "has none of the purposes that C2PA takes"),
        ({"ca": True}, "is an authority's; put the signer's own first"),
        ({"signs": False}, "is not for digital signatures"),
    ],
)
def test_papers_that_cannot_sign_are_told_in_one_sentence(about, says, tmp_path) -> None:
    key, certificates = papers_of(tmp_path / "given", ec.generate_private_key(ec.SECP256R1()), **about)
    with pytest.raises(SigningError, match=says) as refused:
        keep_identity(tmp_path / "kept", key=key, certificates=certificates)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "kept").exists()


def test_keys_that_cannot_be_read_or_do_not_fit_are_told_in_one_sentence(papers, tmp_path) -> None:
    mine = shutil.copytree(papers, tmp_path / "mine")
    secret = ec.generate_private_key(ec.SECP256R1())
    for data, says in (
        (b"hello", "is no private key in PEM"),
        (pem(secret, b"password"), "is encrypted"),
        (pem(secret), "is not that of the certificate of"),
        (pem(ec.generate_private_key(ec.SECP256K1())), "is not that of the certificate of"),
    ):
        (mine / "key.pem").write_bytes(data)
        with pytest.raises(SigningError, match=says):
            load_identity(mine)
    (mine / "certificates.pem").write_bytes(b"hello")
    with pytest.raises(SigningError, match="are none in PEM"):
        load_identity(mine)
    with pytest.raises(SigningError, match="`impasto provenance init` makes"):
        load_identity(tmp_path / "empty")


def test_expired_certificate_of_ones_own_names_the_remedy(papers, tmp_path) -> None:
    mine = shutil.copytree(papers, tmp_path / "mine")
    key, certificates = papers_of(tmp_path / "given", ec.generate_private_key(ec.SECP256R1()), days=(-9, -2))
    shutil.copy(key, mine / "key.pem")
    shutil.copy(certificates, mine / "certificates.pem")
    with pytest.raises(SigningError, match=re.escape("`impasto provenance init --renew` makes a new one")):
        impasto.sign(tmp_path / "any.png", f"local:{mine}")


def test_without_the_extra_the_rest_works_and_says_what_to_install(painted, tmp_path, monkeypatch) -> None:
    path = painted.save(tmp_path / "out.png")
    monkeypatch.setitem(sys.modules, "c2pa", None)
    for call in (impasto.sign, impasto.verify):
        with pytest.raises(MissingExtraError, match=r"pip install 'impasto\[provenance\]'"):
            call(path)
    assert impasto.read_recipe(path) == painted.recipe
