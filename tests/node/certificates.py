"""A certificate authority of one node, and certificates by which its parts know each other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAYS = timedelta(days=2)
_OID = {"CN": NameOID.COMMON_NAME, "O": NameOID.ORGANIZATION_NAME}


@dataclass(frozen=True)
class Certificate:
    """The files of a certificate and its key, in PEM."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Authority:
    """Signs client certificates.

    Attributes:
        folder: Where certificates and keys are written.
    """

    folder: Path
    _key: ec.EllipticCurvePrivateKey
    _name: x509.Name

    @classmethod
    def begin(cls, folder: Path) -> Authority:
        """Make one, with its own certificate in ``ca.crt``."""
        folder.mkdir()
        key, name = ec.generate_private_key(ec.SECP256R1()), _name(CN="freehold-test-node")
        found = cls(folder, key, name)
        built = found._builder(name, key).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        found._write("ca", built.sign(key, hashes.SHA256()), key)
        return found

    @property
    def certificate(self) -> Path:
        """Its own certificate."""
        return self.folder / "ca.crt"

    def client(self, name: str, user: str, group: str) -> Certificate:
        """Return a certificate by which its holder is a user of a group to the API server.

        Args:
            name: Name of the files.
            user: The user's name.
            group: The group's.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        built = self._builder(_name(O=group, CN=user), key).add_extension(
            x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        return self._write(name, built.sign(self._key, hashes.SHA256()), key)

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + _DAYS)
        )

    def _write(
        self, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
    ) -> Certificate:
        found = Certificate(self.folder / f"{name}.crt", self.folder / f"{name}.key")
        found.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        found.key.touch(mode=0o600)
        found.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return found


def _name(**parts: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(_OID[key], value) for key, value in parts.items()])
