"""A throw-away certificate authority for tests."""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from common.tls import TlsFiles

_DAY = timedelta(days=1)


class Authority:
    """Signs certificates for 127.0.0.1 and localhost.

    Attributes:
        path: Its own certificate as PEM.
    """

    def __init__(self, folder: Path, name: str = "test authority") -> None:
        """Makes a new authority.

        Args:
            folder: Where its files go.
            name: Its name.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        own = self._builder(self._name, self._key, _DAY).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.path = folder / "ca.pem"
        self._write(self.path, own)

    def issue(self, name: str, lifetime: timedelta = _DAY) -> TlsFiles:
        """Writes a new certificate with its key. A repeat for the same name replaces the files.

        Args:
            name: Name of the files, and one that the certificate carries.
            lifetime: How long it is valid; negative for one that has expired.

        Returns:
            Files of a process that trusts this authority.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = [x509.DNSName(name), x509.DNSName("localhost")]
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        builder = self._builder(subject, key, lifetime).add_extension(
            x509.SubjectAlternativeName([*names, address]), critical=False
        )
        cert_file, key_file = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        key_file.touch(mode=0o600)
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        self._write(cert_file, builder)
        return TlsFiles(cert_file, key_file, self.path)

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, lifetime: timedelta
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 2 * _DAY)
            .not_valid_after(now + lifetime)
        )

    def _write(self, path: Path, builder: x509.CertificateBuilder) -> None:
        signed = builder.sign(self._key, hashes.SHA256())
        path.write_bytes(signed.public_bytes(serialization.Encoding.PEM))


def environment(files: TlsFiles) -> dict[str, str]:
    """Returns the variables that name these files."""
    return {
        "AIMASS_TLS_CERT_FILE": str(files.cert_file or ""),
        "AIMASS_TLS_KEY_FILE": str(files.key_file or ""),
        "AIMASS_TLS_CA_FILE": str(files.ca_file or ""),
        "AIMASS_TLS_REQUIRE_CLIENT_CERT": str(files.requires_client_cert).lower(),
        "AIMASS_TLS_SERVER_NAME": files.server_name,
    }
