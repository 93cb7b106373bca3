"""A certificate authority of the tests' own: browsers that trust it need to ignore no error."""

import datetime as dt
import ipaddress
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

#: Everything below .test is this machine to the browsers of these tests.
HOSTS = ("app.example.test", "*.example.test", "evil.test", "localhost", "127.0.0.1")
NICKNAME = "keyturn tests"


@dataclass(frozen=True)
class Authority:
    """The authority's key and certificate; ``ca.pem`` in its folder is what a browser is to trust."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> Path:
        return self.folder / "ca.pem"

    def certify(self, hosts: Sequence[str] = HOSTS) -> Path:
        """Write a key and a certificate for these hosts; give their folder, as `served` takes it."""
        key = ec.generate_private_key(ec.SECP256R1())
        folder = self.folder / hosts[0].replace("*", "any")
        folder.mkdir(exist_ok=True)
        certificate = (
            _unsigned(hosts[0], self.certificate.subject, key.public_key())
            .add_extension(x509.SubjectAlternativeName([_general_name(host) for host in hosts]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        _write(folder / "cert.pem", certificate)
        pem, pkcs8, bare = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        (folder / "key.pem").write_bytes(key.private_bytes(pem, pkcs8, bare))
        return folder

    def trust(self, certutil: str, database: Path) -> None:
        """Put the authority into an NSS database: a profile of Firefox, or ``.pki/nssdb`` in Chromium's HOME."""
        database.mkdir(parents=True, exist_ok=True)
        place = ["-d", f"sql:{database}"]
        for command in (["-N", "--empty-password"], ["-A", "-n", NICKNAME, "-t", "C,,", "-i", str(self.pem)]):
            subprocess.run([certutil, *command, *place], check=True, capture_output=True, timeout=60)


def found_authority(folder: Path) -> Authority:
    """Make an authority with a fresh key in an empty folder."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NICKNAME)])
    certificate = (
        _unsigned(NICKNAME, name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    authority = Authority(folder, key, certificate)
    _write(authority.pem, certificate)
    return authority


def _unsigned(subject: str, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=30))
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write(path: Path, certificate: x509.Certificate) -> None:
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
