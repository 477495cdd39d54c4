"""Transport security of every connection: files from the environment, checked before use.

Standard library and grpc only: a client without the services reads the same variables.
"""

import logging
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc

Options = list[tuple[str, str | int]]

_log = logging.getLogger(__name__)
_FOREIGN = (
    "The server's certificate is signed by none of the authorities in AIMASS_TLS_CA_FILE: set it "
    "to those that signed the certificates of the suite."
)
# Parts of what gRPC says of a failed connection, and what it comes from.
_SIGNS = {
    "Hostname Verification Check failed": (
        "The server's certificate does not carry the name that was dialled: set "
        "AIMASS_TLS_SERVER_NAME to a name that it carries."
    ),
    "certificate has expired": "The server's certificate has expired: it must be renewed.",
    "BAD_SIGNATURE": _FOREIGN,
    "CERTIFICATE_VERIFY_FAILED": _FOREIGN,
    "WRONG_VERSION_NUMBER": (
        "The server speaks in the clear: unset the AIMASS_TLS_ variables, or secure the server."
    ),
}
_TRUE = ("1", "true", "yes", "on")
_FALSE = ("", "0", "false", "no", "off")


class TlsError(ValueError):
    """The files or variables do not fit together; the message says which and the cure."""


@dataclass(frozen=True)
class TlsFiles:
    """What secures the connections of a process; without files they are in the clear.

    Attributes:
        cert_file: Own certificate chain as PEM, shown as server and as client.
        key_file: Its private key as PEM.
        ca_file: Certificates of the authorities that peers are checked against, as PEM.
        requires_client_cert: Whether a server turns clients away that show no certificate (mTLS).
        server_name: Name that servers' certificates carry; empty for the host that was dialled.
    """

    cert_file: Path | None = None
    key_file: Path | None = None
    ca_file: Path | None = None
    requires_client_cert: bool = False
    server_name: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "TlsFiles":
        """Reads `AIMASS_TLS_*` and checks what is set.

        Raises:
            TlsError: What is set is incomplete, missing or does not fit together.
        """
        files = cls(
            cert_file=_path(environment, "AIMASS_TLS_CERT_FILE"),
            key_file=_path(environment, "AIMASS_TLS_KEY_FILE"),
            ca_file=_path(environment, "AIMASS_TLS_CA_FILE"),
            requires_client_cert=_switch(environment, "AIMASS_TLS_REQUIRE_CLIENT_CERT"),
            server_name=environment.get("AIMASS_TLS_SERVER_NAME", ""),
        )
        files.check()
        return files

    @property
    def is_on(self) -> bool:
        """Whether connections are secured."""
        return self.ca_file is not None

    def check(self) -> None:
        """Checks that the files are there and fit together.

        Raises:
            TlsError: They do not.
        """
        if (self.cert_file is None) != (self.key_file is None):
            raise TlsError("AIMASS_TLS_CERT_FILE and AIMASS_TLS_KEY_FILE go together; set both.")
        if self.ca_file is None:
            if self.cert_file or self.requires_client_cert or self.server_name:
                raise TlsError(
                    "AIMASS_TLS_CA_FILE is not set: set it to the authorities that signed the "
                    "certificates of the suite, or unset the other AIMASS_TLS_ variables."
                )
            return
        _load_authorities(self.ca_file)
        if self.cert_file is not None and self.key_file is not None:
            _load_pair(self.cert_file, self.key_file)

    def check_server(self) -> None:
        """Checks that a server that is to be secured has a valid certificate.

        Raises:
            TlsError: It has none, or one that has expired or is not valid yet.
        """
        if self.is_on and self.cert_file is None:
            raise TlsError(
                "AIMASS_TLS_CA_FILE is set but no certificate: a server needs "
                "AIMASS_TLS_CERT_FILE and AIMASS_TLS_KEY_FILE."
            )
        if self.cert_file is not None:
            _check_dates(self.cert_file)

    def server_credentials(self) -> grpc.ServerCredentials:
        """Returns credentials that read the files again when they were replaced.

        Raises:
            TlsError: There is no certificate.
        """
        self.check_server()
        reload = _Reload(self)
        return grpc.dynamic_ssl_server_credentials(
            reload.configuration,
            reload.look,  # type: ignore[arg-type]  # None is allowed: nothing has changed
            self.requires_client_cert,
        )

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """Returns the credentials of a new channel, from the files as they are now."""
        assert self.ca_file is not None, "secured channels only"
        return grpc.ssl_channel_credentials(
            self.ca_file.read_bytes(),
            self.key_file.read_bytes() if self.key_file else None,
            self.cert_file.read_bytes() if self.cert_file else None,
        )

    def aio_channel(
        self, address: str, options: Options, interceptors: Any = None
    ) -> grpc.aio.Channel:
        """Opens an asyncio channel, secured where files are set."""
        if not self.is_on:
            return grpc.aio.insecure_channel(address, options=options, interceptors=interceptors)
        return grpc.aio.secure_channel(
            address,
            self.channel_credentials(),
            options=self._named(options),
            interceptors=interceptors,
        )

    def channel(self, address: str, options: Options) -> grpc.Channel:
        """Opens a channel for plain threads, secured where files are set."""
        if not self.is_on:
            return grpc.insecure_channel(address, options=options)
        return grpc.secure_channel(
            address, self.channel_credentials(), options=self._named(options)
        )

    def add_port(self, server: grpc.aio.Server, address: str) -> int:
        """Has a server listen, secured where files are set. Returns the port.

        Raises:
            RuntimeError: The port is taken.
            TlsError: There is no certificate.
        """
        if not self.is_on:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, self.server_credentials())

    def explain(self, details: str) -> str:
        """Returns what a failed connection probably comes from, with the cure; empty if unknown.

        Args:
            details: What gRPC said of it.
        """
        found = next((said for sign, said in _SIGNS.items() if sign in details), "")
        if found or "Socket closed" not in details:
            return found
        # Whatever a server has against a client, it says nothing and hangs up.
        if not self.is_on:
            return "The server hung up. If it is secured by TLS, set AIMASS_TLS_CA_FILE."
        if self.cert_file is None:
            return (
                "The server hung up. If it wants a certificate of its clients, set "
                "AIMASS_TLS_CERT_FILE and AIMASS_TLS_KEY_FILE."
            )
        return (
            f"The server hung up. It may not take the certificate in {self.cert_file}: see whether "
            "it has expired, and who signed it."
        )

    def _named(self, options: Options) -> Options:
        if not self.server_name:
            return options
        return [*options, ("grpc.ssl_target_name_override", self.server_name)]


def check_environment() -> None:
    """Ends a process that only dials, before it begins, where its `AIMASS_TLS_*` are wrong.

    Raises:
        SystemExit: They are; says the cure.
    """
    try:
        TlsFiles.from_environment()
    except TlsError as error:
        raise SystemExit(f"cannot start: {error}") from None


class _Reload:
    """Notices replaced files when the next client connects; a broken pair is not taken."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._stamps = self._stat()
        self.configuration = self._load()

    def look(self) -> grpc.ServerCertificateConfiguration | None:
        """Returns the new configuration where a file was replaced; None keeps the old one."""
        try:
            stamps = self._stat()
            if stamps == self._stamps:
                return None
            self._files.check()
            self.configuration = self._load()
        except (TlsError, OSError) as error:
            _log.error("the replaced certificate is not taken: %s", error)
            return None
        self._stamps = stamps
        _log.info("the certificate was replaced")
        return self.configuration

    def _stat(self) -> list[tuple[int, int]]:
        found = [path.stat() for path in self._paths()]
        return [(each.st_mtime_ns, each.st_ino) for each in found]

    def _load(self) -> grpc.ServerCertificateConfiguration:
        cert, key, authorities = (path.read_bytes() for path in self._paths())
        return grpc.ssl_server_certificate_configuration([(key, cert)], authorities)

    def _paths(self) -> tuple[Path, Path, Path]:
        files = self._files
        assert files.cert_file and files.key_file and files.ca_file, "checked before"
        return files.cert_file, files.key_file, files.ca_file


def _path(environment: Mapping[str, str], name: str) -> Path | None:
    value = environment.get(name)
    if not value:
        return None
    path = Path(value)
    try:
        path.open("rb").close()
    except OSError as error:
        raise TlsError(f"{name}={value} cannot be read: {error.strerror}.") from None
    return path


def _switch(environment: Mapping[str, str], name: str) -> bool:
    value = environment.get(name, "").lower()
    if value not in (*_TRUE, *_FALSE):
        raise TlsError(f"{name}={value} is neither true nor false.")
    return value in _TRUE


def _load_authorities(path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError:
        raise TlsError(f"AIMASS_TLS_CA_FILE={path} holds no certificate in PEM form.") from None


def _load_pair(cert: Path, key: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # An empty password makes an encrypted key an error instead of a question on the terminal.
        context.load_cert_chain(cert, key, password="")
    except ssl.SSLError as error:
        raise TlsError(
            f"AIMASS_TLS_CERT_FILE={cert} and AIMASS_TLS_KEY_FILE={key} do not fit together: "
            f"{error.reason or error}. Both must be PEM, the key without a password."
        ) from None


def _check_dates(cert: Path) -> None:
    # Servers have this library, plain clients need not.
    from cryptography import x509  # noqa: PLC0415

    found = x509.load_pem_x509_certificate(cert.read_bytes())
    now = datetime.now(UTC)
    if not found.not_valid_before_utc <= now <= found.not_valid_after_utc:
        raise TlsError(
            f"AIMASS_TLS_CERT_FILE={cert} has expired or is not valid yet: it holds from "
            f"{found.not_valid_before_utc} to {found.not_valid_after_utc}; renew it."
        )
