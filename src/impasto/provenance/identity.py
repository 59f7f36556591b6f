"""A signer's papers on disk: a private key, its certificate, and the authority that vouches for it.

    key.pem            the signer's private key (0600)
    certificates.pem   the signer's certificate, then those above it
    authority.pem      the certificate that others have to trust
    authority-key.pem  the authority's private key, where it was made here (0600): it makes the next certificate

Source: C2PA specification 2.4, section 14.5.1, certificate profiles.
"""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import platformdirs

from impasto.errors import MissingExtraError, OutputError, SigningError

if TYPE_CHECKING:
    from types import ModuleType

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

    PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


#: Names a folder in place of the one in the user's configuration.
VARIABLE: Final = "IMPASTO_PROVENANCE"
INSTALL: Final = "pip install 'impasto[provenance]'"

KEY: Final = "key.pem"
CERTIFICATES: Final = "certificates.pem"
AUTHORITY: Final = "authority.pem"
AUTHORITY_KEY: Final = "authority-key.pem"
#: Certificates of others that are trusted, one or several a file.
TRUSTED: Final = "trusted"

_ORGANIZATION: Final = "impasto, self-issued"
#: Without a time stamp of somebody else, a signature counts only as long as the certificate.
_YEARS: Final = 5
_AUTHORITY_YEARS: Final = 20
#: Clocks of two machines differ.
_BEFORE: Final = dt.timedelta(hours=1)
#: What C2PA allows a signer's certificate to be for: e-mail protection, documents, C2PA claims.
_PURPOSES: Final = frozenset({"1.3.6.1.5.5.7.3.4", "1.3.6.1.5.5.7.3.36", "1.3.6.1.4.1.62558.2.1"})


@dataclass(frozen=True)
class Identity:
    """Papers that were checked: they fit each other, and are valid today."""

    folder: Path
    certificates: str
    """PEM, the signer's first."""
    key: PrivateKey
    signer: str
    """Who the certificate says it is."""
    until: dt.datetime
    """When the certificate ends."""


def identity_folder() -> Path:
    """Where the user's papers lie; it need not be there yet."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else platformdirs.user_config_path("impasto") / "provenance"


def require(name: str) -> ModuleType:
    """A module of the extra.

    Raises:
        MissingExtraError: it is not installed.
    """
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise MissingExtraError(f"signing and verifying need extra packages ({error.name}): {INSTALL}") from None


def make_identity(folder: Path, *, name: str, renew: bool = False) -> Identity:
    """Make an authority of one's own, and a signer's key and certificate by it.

    Args:
        folder: where the papers go; made if it is not there.
        name: who signs, as those see it who verify.
        renew: keep the authority that lies there, and make only a new key and certificate.

    Raises:
        OutputError: papers lie there already, or it cannot be written there.
        SigningError: ``renew``, and no authority of one's own lies there.
        MissingExtraError: the extra is not installed.
    """
    require("cryptography")
    from cryptography.hazmat.primitives.asymmetric import ec

    if not renew:
        _refuse_papers(folder)
        authority_key = ec.generate_private_key(ec.SECP256R1())
        authority = _certificate(f"{name} (authority)", authority_key, None, authority_key, _AUTHORITY_YEARS)
        papers = {AUTHORITY_KEY: _pem_of_key(authority_key), AUTHORITY: _pem_of(authority)}
    else:
        authority, authority_key = _own_authority(folder)
        papers = {AUTHORITY: _pem_of(authority)}
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = _certificate(name, key, authority, authority_key, _YEARS)
    _write(folder, {**papers, KEY: _pem_of_key(key), CERTIFICATES: _pem_of(leaf) + _pem_of(authority)})
    return load_identity(folder)


def keep_identity(folder: Path, *, key: Path, certificates: Path) -> Identity:
    """Check papers that somebody else has issued, and keep copies of them.

    Args:
        folder: where the papers go.
        key: the private key, PEM, not encrypted.
        certificates: PEM: the signer's, then those above it.

    Raises:
        SigningError: they cannot be used.
        OutputError: papers lie there already, or it cannot be written there.
        MissingExtraError: the extra is not installed.
    """
    _refuse_papers(folder)
    checked = check_papers(folder, _read(key), _read(certificates))
    chain = _chain(_read(certificates), certificates)
    _write(folder, {KEY: _read(key), CERTIFICATES: checked.certificates.encode(), AUTHORITY: _pem_of(chain[-1])})
    return checked


def load_identity(folder: Path) -> Identity:
    """The papers in a folder.

    Raises:
        SigningError: there are none, or they cannot be used; the sentence says which and why.
        MissingExtraError: the extra is not installed.
    """
    if not (folder / KEY).is_file() or not (folder / CERTIFICATES).is_file():
        raise SigningError(
            f"there is nothing to sign with in {str(folder)!r}; `impasto provenance init` makes a key and a certificate"
        )
    return check_papers(folder, _read(folder / KEY), _read(folder / CERTIFICATES))


def check_papers(folder: Path, key: bytes, certificates: bytes) -> Identity:
    """See whether a key and certificates can sign.

    Raises:
        SigningError: names what is wrong with them.
    """
    private, chain = _key(key, folder), _chain(certificates, folder)
    leaf = chain[0]
    who = leaf.subject.rfc4514_string()
    if private.public_key() != leaf.public_key():
        raise SigningError(f"the key in {str(folder)!r} is not that of the certificate of {who}; give the two together")
    now = dt.datetime.now(dt.UTC)
    for one in chain:
        _check_validity(one, now, renewable=(folder / AUTHORITY_KEY).is_file())
    _check_profile(leaf, who)
    pem = b"".join(_pem_of(one) for one in chain).decode()
    return Identity(folder, pem, private, _name(leaf), leaf.not_valid_after_utc)


def trusted_certificates(folder: Path) -> str:
    """PEM of the authorities that are trusted: one's own, and what lies in ``trusted/``; empty if there are none."""
    files = [folder / AUTHORITY, *sorted((folder / TRUSTED).glob("*.pem"))]
    return "\n".join(_read(path).decode(errors="replace") for path in files if path.is_file())


def _check_validity(certificate: x509.Certificate, now: dt.datetime, *, renewable: bool) -> None:
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    who = certificate.subject.rfc4514_string()
    if now > ends:
        remedy = "`impasto provenance init --renew` makes a new one" if renewable else "ask its issuer for a new one"
        raise SigningError(f"the certificate of {who} expired on {ends:%Y-%m-%d}; {remedy}")
    if now < begins:
        raise SigningError(f"the certificate of {who} is valid only from {begins:%Y-%m-%d %H:%M} UTC; check the clock")


def _check_profile(leaf: x509.Certificate, who: str) -> None:
    """What C2PA asks of a signer's certificate, said before the SDK would say it in its own words."""
    from cryptography import x509

    def extension(kind: type[x509.ExtensionType]) -> x509.ExtensionType | None:
        try:
            return leaf.extensions.get_extension_for_class(kind).value
        except x509.ExtensionNotFound:
            return None

    constraints = extension(x509.BasicConstraints)
    if isinstance(constraints, x509.BasicConstraints) and constraints.ca:
        raise SigningError(f"the first certificate, of {who}, is an authority's; put the signer's own first")
    usage = extension(x509.KeyUsage)
    if not isinstance(usage, x509.KeyUsage) or not usage.digital_signature:
        raise SigningError(f"the certificate of {who} is not for digital signatures; C2PA needs that key usage")
    purposes = extension(x509.ExtendedKeyUsage)
    known = {purpose.dotted_string for purpose in purposes} if isinstance(purposes, x509.ExtendedKeyUsage) else set()
    if not known & _PURPOSES:
        raise SigningError(
            f"the certificate of {who} has none of the purposes that C2PA takes; issue one with the extended key usage "
            "emailProtection, documentSigning or c2pa-kp-claimSigning"
        )


def _own_authority(folder: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    from cryptography.hazmat.primitives.asymmetric import ec

    if not (folder / AUTHORITY_KEY).is_file():
        raise SigningError(f"no authority of your own lies in {str(folder)!r}; leave out --renew to make one")
    key = _key(_read(folder / AUTHORITY_KEY), folder)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise SigningError(f"{str(folder / AUTHORITY_KEY)!r} is no key that impasto made; leave out --renew")
    return _chain(_read(folder / AUTHORITY), folder)[0], key


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    issuer_key: ec.EllipticCurvePrivateKey,
    years: int,
) -> x509.Certificate:
    """A certificate; without ``issuer`` it is an authority's, signed by itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    try:
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANIZATION),
                x509.NameAttribute(NameOID.COMMON_NAME, name),
            ]
        )
    except ValueError:
        raise SigningError(f"{name[:80]!r} cannot be a signer's name; give 1 to 50 characters") from None
    now, is_authority = dt.datetime.now(dt.UTC), issuer is None
    ends = now + dt.timedelta(days=365 * years)
    if issuer is not None:
        ends = min(ends, issuer.not_valid_after_utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BEFORE)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=0 if is_authority else None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not is_authority,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=is_authority,
                crl_sign=is_authority,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if not is_authority:
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(purpose, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _name(certificate: x509.Certificate) -> str:
    from cryptography.x509.oid import NameOID

    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else certificate.subject.rfc4514_string()


def _key(data: bytes, where: Path) -> PrivateKey:
    require("cryptography")
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        found: PrivateKeyTypes = load_pem_private_key(data, None)
    except TypeError:
        raise SigningError(f"the key for {str(where)!r} is encrypted; give it without a password") from None
    except (ValueError, UnsupportedAlgorithm):
        raise SigningError(f"the key for {str(where)!r} is no private key in PEM; give one, unencrypted") from None
    if not isinstance(found, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey):
        raise SigningError(f"the key for {str(where)!r} is of a kind that C2PA does not take; EC, Ed25519 and RSA are")
    return found


def _chain(data: bytes, where: Path) -> list[x509.Certificate]:
    require("cryptography")
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError:
        raise SigningError(f"the certificates for {str(where)!r} are none in PEM; give the signer's first") from None


def _pem_of(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM)


def _pem_of_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SigningError(f"cannot read {str(path)!r}: {error.strerror or error}") from error


def _refuse_papers(folder: Path) -> None:
    if (folder / KEY).exists() or (folder / AUTHORITY_KEY).exists():
        raise OutputError(
            f"a key lies in {str(folder)!r} already, and nobody could sign with it again; give another --folder, or "
            "--renew for a new certificate by the same authority"
        )


def _write(folder: Path, papers: dict[str, bytes]) -> None:
    """Write papers, keys with permissions for their owner alone from the first byte."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name, data in papers.items():
            temporary = folder / f".{name}.new"
            temporary.unlink(missing_ok=True)
            mode = 0o600 if name in (KEY, AUTHORITY_KEY) else 0o644
            with os.fdopen(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode), "wb") as file:
                file.write(data)
            temporary.replace(folder / name)
    except OSError as error:
        raise OutputError(
            f"cannot write to {str(folder)!r}: {error.strerror or error}; give another --folder"
        ) from error
