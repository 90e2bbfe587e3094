"""Builds the functions for AWS: arm64 zips where the template expects them. Zips of functions that connect to databases also
hold the certificates of Amazon's authorities for RDS.

It deploys nothing. Runs in the venv of local/tools/package.txt, which holds cargo-lambda and zig.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import zipfile

import rds_authorities

# What Amazon Linux 2023 has, on which provided.al2023 is built.
GLIBC = (2, 34)
# The crates through which a function reaches a database.
DATABASE_CRATES = re.compile(r"^rewind-(access|db)\b", re.MULTILINE)
AUTHORITIES = "rds-ca.pem"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=pathlib.Path, required=True, help="the checkout")
    parser.add_argument("--tools", type=pathlib.Path, required=True, help="where a Rust for arm64 is kept, if one must be fetched")
    parser.add_argument("--target-dir", type=pathlib.Path, required=True, help="cargo's, apart from that of other builds")
    parser.add_argument("--authorities", type=pathlib.Path, help="a PEM file in place of the certificates from npm")
    arguments = parser.parse_args()
    root, out = arguments.root, arguments.root / "target" / "lambda"

    # First, because it fails within a second, and the build takes minutes.
    authorities = rds_authorities.read(arguments.authorities)
    manifests = {path.parent.name: path.read_text() for path in sorted(root.glob("functions/*/Cargo.toml"))}
    build(root, arguments.tools / "arm64", arguments.target_dir, out, list(manifests))
    for name, manifest in manifests.items():
        zipped = out / name / "bootstrap.zip"
        if DATABASE_CRATES.search(manifest):
            add(zipped, AUTHORITIES, authorities)
        print(f"  {name:18} {zipped.stat().st_size / 2**20:5.2f} MiB  {describe(zipped)}")
    print(f"the functions are in {out.relative_to(root)}/<function>/bootstrap.zip")


def build(root: pathlib.Path, rust: pathlib.Path, target: pathlib.Path, out: pathlib.Path, functions: list[str]) -> None:
    rustc = subprocess.run([root / "local/tools/arm64-rust", rust], stdout=subprocess.PIPE, text=True, check=False)
    if rustc.returncode:
        sys.exit(rustc.returncode)
    tools = pathlib.Path(sys.executable).parent
    # cargo-lambda finds zig by the first python of the path. Which Rust builds for arm64 is settled above.
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "RUSTC": rustc.stdout.strip(), "CARGO_TARGET_DIR": str(target)}
    command = [tools / "cargo-lambda", "lambda", "build", "--release", "--arm64", "--skip-target-check", "--locked"]
    command += ["--output-format", "zip", "--lambda-dir", out]
    command += [argument for name in functions for argument in ("--package", name)]
    print(f"building {len(functions)} functions for arm64; the first time this takes a while", flush=True)
    if subprocess.run(command, cwd=root, env=environment, check=False).returncode:
        sys.exit("the functions could not be built; nothing was packaged")


def add(zipped: pathlib.Path, name: str, content: bytes) -> None:
    """Adds a file with a fixed time and mode, so that an unchanged zip has the same hash and is not deployed again."""
    entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    entry.create_system = 3
    entry.external_attr = 0o100644 << 16
    with zipfile.ZipFile(zipped, "a") as archive:
        if name not in archive.namelist():  # cargo-lambda left the zip as it was
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)


def describe(zipped: pathlib.Path) -> str:
    """Describes the zip's content, and exits if the function would not start on AWS."""
    with zipfile.ZipFile(zipped) as archive, tempfile.NamedTemporaryFile() as binary:
        binary.write(archive.read("bootstrap"))
        binary.flush()
        elf = subprocess.run(
            ["readelf", "--wide", "--file-header", "--version-info", binary.name],
            env={"LC_ALL": "C", "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=True,
        )
        others = [name for name in archive.namelist() if name != "bootstrap"]
    machine = re.search(r"Machine:\s+(.+)", elf.stdout)[1]
    glibc = max((tuple(map(int, version.split("."))) for version in re.findall(r"GLIBC_([\d.]+)", elf.stdout)), default=(0,))
    if machine != "AArch64" or glibc > GLIBC:
        needs = f"{machine}, glibc {'.'.join(map(str, glibc))}"
        sys.exit(f"{zipped} would not start on AWS: it needs {needs}; provided.al2023 on arm64 has AArch64, glibc 2.34")
    return ", ".join([machine, f"glibc {'.'.join(map(str, glibc))}", *others])


if __name__ == "__main__":
    main()
