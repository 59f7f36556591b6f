"""Who can sign: a key in a file, or a plug-in that asks a service which keeps the key (KMS, HSM)."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from impasto.errors import SigningError
from impasto.provenance.identity import identity_folder, load_identity, require
from impasto.provenance.plugins import SIGNERS, load

if TYPE_CHECKING:
    from collections.abc import Callable

#: Bits of a curve, and the SDK's algorithm for it; the hash has the same number.
_CURVES: Final = {256: "ES256", 384: "ES384", 521: "ES512"}


class Signer(Protocol):
    """Whatever can sign."""

    certificates: str
    """PEM: the signer's certificate, then those above it. Its key's kind decides the algorithm."""

    def sign(self, data: bytes) -> bytes:
        """The signature of some bytes by the certificate's key.

        ECDSA in DER with SHA-256, SHA-384 or SHA-512 as fits the curve; Ed25519; or RSA-PSS with SHA-256 and a salt of
        32 bytes.
        """


class LocalSigner:
    """Signs with the papers in a folder.

    Args:
        folder: where they lie; empty: the user's own.

    Raises:
        SigningError: they cannot be used.
        MissingExtraError: the extra is not installed.
    """

    def __init__(self, folder: str = "") -> None:
        identity = load_identity(Path(folder) if folder else identity_folder())
        self.certificates, self._key, self._until = identity.certificates, identity.key, identity.until

    def sign(self, data: bytes) -> bytes:
        """The signature of some bytes."""
        if dt.datetime.now(dt.UTC) > self._until:  # while a service was running
            raise SigningError(f"the certificate expired on {self._until:%Y-%m-%d}; start again with a new one")
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

        if isinstance(self._key, ec.EllipticCurvePrivateKey):
            of_curve = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}
            return self._key.sign(data, ec.ECDSA(of_curve[self._key.key_size]))
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(data, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
        return self._key.sign(data)


def load_signer(name: str) -> Signer:
    """A signer by name: ``local``, ``local:FOLDER``, or ``NAME:WHAT`` of a plug-in.

    Raises:
        SettingsError: no plug-in has the name.
        SigningError: it cannot sign.
        MissingExtraError: the extra is not installed.
    """
    require("c2pa")
    require("cryptography")
    plugin, _, about = name.partition(":")
    signer: Signer = load(SIGNERS, plugin, {"local": LocalSigner})(about)
    return signer


def as_c2pa(signer: Signer) -> tuple[str, Callable[[bytes], bytes]]:
    """The SDK's name of the signer's algorithm, and what signs as C2PA has it.

    ECDSA's two numbers stand side by side there (RFC 9053, section 2.1); others stay as they are.

    Raises:
        SigningError: its certificates are none, or their key is of a kind that C2PA does not take.
    """
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    key = _key_of(signer.certificates)
    if isinstance(key, ec.EllipticCurvePublicKey) and key.key_size in _CURVES:
        size = (key.key_size + 7) // 8
        return _CURVES[key.key_size], lambda data: b"".join(
            number.to_bytes(size) for number in decode_dss_signature(signer.sign(data))
        )
    if isinstance(key, ed25519.Ed25519PublicKey | rsa.RSAPublicKey):
        return "ED25519" if isinstance(key, ed25519.Ed25519PublicKey) else "PS256", signer.sign
    raise SigningError("the signer's key is of a kind that C2PA does not take; P-256, P-384, P-521, Ed25519, RSA are")


def _key_of(certificates: str) -> Any:
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(certificates.encode()).public_key()
    except ValueError:
        raise SigningError(
            "the signer's certificates are none in PEM; its plug-in must give the signer's first"
        ) from None
