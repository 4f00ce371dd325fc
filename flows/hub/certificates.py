"""A little certificate authority, with which the parts of SeaweedFS know each other.

Its key signs two certificates and is then forgotten: nobody can make another that is let in.
"""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from flows.secrets_file import write_private

YEARS = datetime.timedelta(days=3650)
Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Authority:
    """Who signs: a key and its certificate."""

    key: Key
    certificate: x509.Certificate

    @classmethod
    def found(cls, name: str, now: datetime.datetime) -> Authority:
        """A new authority, which may sign from `now` on."""
        key = ec.generate_private_key(ec.SECP256R1())
        asked = _asked(_named(name), _named(name), key, now)
        asked = asked.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        return cls(key, asked.sign(key, hashes.SHA256()))

    def issue(self, name: str, host: str, now: datetime.datetime) -> tuple[str, str]:
        """A certificate for `host` and its key, both as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        asked = _asked(_named(name), self.certificate.subject, key, now)
        asked = asked.add_extension(x509.SubjectAlternativeName([_host(host)]), critical=False)
        asked = asked.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        return pem(asked.sign(self.key, hashes.SHA256())), _pem_key(key)

    @property
    def pem(self) -> str:
        """What others need in order to trust what was issued."""
        return pem(self.certificate)


def make_certificates(folder: Path, name: str, now: datetime.datetime) -> tuple[Path, Path, Path]:
    """CA, certificate and key in `folder`, made first where they are not there."""
    paths = tuple(folder / f"{name}-{kind}.pem" for kind in ("ca", "cert", "key"))
    if not all(path.exists() for path in paths):
        authority = Authority.found(f"fedcore {name}", now)
        texts = (authority.pem, *authority.issue(name, "127.0.0.1", now))
        for path, text in zip(paths, texts, strict=True):
            write_private(path, text)
    ca, cert, key = paths
    return ca, cert, key


def pem(certificate: x509.Certificate) -> str:
    """A certificate as text."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _asked(
    subject: x509.Name, issuer: x509.Name, key: Key, now: datetime.datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    before = now - datetime.timedelta(days=1)
    return builder.not_valid_before(before).not_valid_after(now + YEARS)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem_key(key: Key) -> str:
    form = serialization.PrivateFormat.PKCS8
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, plain).decode()
