"""Reads the certificates of Amazon's authorities for RDS, against which the functions verify the databases that they connect to.

They come from a pinned npm package, or from a file such as AWS's own global-bundle.pem. Each is checked before it is trusted. A
comment with its name precedes each, so that `make deploy` can see whether a Region is among them. Runs in the venv of
local/tools/package.txt.
"""

import base64
import datetime
import hashlib
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile

from cryptography import x509

from rds_package import INTEGRITY, MEMBER, PACKAGE

# The present generation: those of 2019 have expired, and authorities named Beta or Preview sign no production database.
NAME = re.compile(r"Amazon RDS (\S+) Root CA (RSA2048|RSA4096|ECC384) G\d+")
BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]+-----END CERTIFICATE-----")
ELSEWHERE = (
    "next step: download the bundle that AWS documents (https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem) "
    "and give it as RDS_CA_BUNDLE=<file>"
)


def read(given: pathlib.Path | None) -> bytes:
    """Returns the PEM file to put beside the functions, from the given file or from npm."""
    source = str(given or PACKAGE)
    try:
        text = given.read_text() if given else from_npm()
    except OSError as error:
        sys.exit(f"the certificates for databases cannot be read: {error}; nothing was packaged")
    chosen, regions = [], set()
    for block in dict.fromkeys(BLOCK.findall(text)):
        certificate = x509.load_pem_x509_certificate(block.encode())
        common_name = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        name = NAME.fullmatch(common_name[0].value) if common_name else None
        if name and is_authority(certificate):
            chosen.append(f"# {name[0]}\n{block}\n")
            regions.add(name[1])
    if not chosen:
        sys.exit(f"{source} holds no authority of Amazon RDS that is in force; nothing was packaged; {ELSEWHERE}")
    print(f"{len(chosen)} authorities of RDS in {len(regions)} Regions, from {source}")
    return "\n".join(sorted(chosen)).encode()


def is_authority(certificate: x509.Certificate) -> bool:
    """Returns True if the certificate is self-signed, may sign others, and is valid now."""
    try:
        certificate.verify_directly_issued_by(certificate)
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except Exception as error:  # each library version has its own for a bad signature
        sys.exit(f"{certificate.subject.rfc4514_string()} is no authority: {error!r}; nothing was packaged")
    now = datetime.datetime.now(datetime.UTC)
    return constraints.ca and certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc


def from_npm() -> str:
    """Returns the package's source with its string literals joined. None of it is run."""
    if not shutil.which("npm"):
        sys.exit(f"npm is needed for the certificates of RDS and is not there; nothing was packaged; {ELSEWHERE}")
    with tempfile.TemporaryDirectory() as folder:
        packed = subprocess.run(
            ["npm", "pack", "--loglevel=error", "--pack-destination", folder, PACKAGE],
            capture_output=True,
            text=True,
            check=False,
        )
        archives = list(pathlib.Path(folder).glob("*.tgz"))
        if packed.returncode or len(archives) != 1:
            sys.exit(f"{PACKAGE} could not be fetched from the npm registry: {packed.stderr.strip()[-500:]}; nothing was packaged; {ELSEWHERE}")
        if base64.b64encode(hashlib.sha512(archives[0].read_bytes()).digest()).decode() != INTEGRITY:
            sys.exit(f"{PACKAGE} is not what it was; nothing was packaged; {ELSEWHERE}")
        with tarfile.open(archives[0]) as archive:
            source = archive.extractfile(MEMBER).read().decode()
    return re.sub(r"\\n'\s*\+\s*'", "\n", source)
