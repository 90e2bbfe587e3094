"""Writes the software bill of materials of what is shipped, as CycloneDX: the crates in the functions and in `rewind`, and the certificates of
RDS's authorities in the functions' zips; with version, licence and checksum, and which of them uses which.

It reads `cargo metadata --locked` and Cargo.lock, and never leaves the machine but for crates that cargo has not fetched yet.
"""

import argparse
import base64
import hashlib
import json
import pathlib
import subprocess
import sys
import tomllib

import rds_package

# The crates through which a function reaches a database: package.py adds the certificates to the zips of those that use one.
DATABASE_CRATES = {"rewind-access", "rewind-db"}
# What the functions are built for; a terminal's program has the same crates on another machine.
TARGET = "aarch64-unknown-linux-gnu"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=pathlib.Path, required=True, help="the checkout")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="the file to write")
    parser.add_argument("--authorities", type=pathlib.Path, help="the PEM file that was packaged in place of the certificates from npm")
    arguments = parser.parse_args()
    command = ["cargo", "metadata", "--locked", "--format-version=1", "--filter-platform", TARGET]
    metadata = json.loads(subprocess.run(command, cwd=arguments.root, check=True, stdout=subprocess.PIPE).stdout)
    lock = tomllib.loads((arguments.root / "Cargo.lock").read_text())
    bom = bill(metadata, lock, certificates(arguments.authorities))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(bom, indent=1) + "\n")
    print(f"{arguments.out}: {len(bom['components'])} parts", file=sys.stderr)


def certificates(given: pathlib.Path | None) -> dict:
    """The component that the certificates in the zips come from: a package of npm, or the given file."""
    if given:
        hashed = hashlib.sha256(given.read_bytes()).hexdigest()
        return {"type": "file", "bom-ref": f"file:{given.name}", "name": given.name, "hashes": [{"alg": "SHA-256", "content": hashed}]}
    name, version = rds_package.PACKAGE.split("@")
    ref = f"pkg:npm/{name}@{version}"
    return {
        "type": "library",
        "bom-ref": ref,
        "name": name,
        "version": version,
        "purl": ref,
        "licenses": [{"expression": rds_package.LICENCE}],
        "hashes": [{"alg": "SHA-512", "content": base64.b64decode(rds_package.INTEGRITY).hex()}],
    }


def bill(metadata: dict, lock: dict, authorities: dict) -> dict:
    """Makes the bill of a workspace's shipped programs, and of the certificates in the zips of those that reach databases."""
    packages = {package["id"]: package for package in metadata["packages"]}
    used = {node["id"]: sorted(uses(node)) for node in metadata["resolve"]["nodes"]}
    found, waiting = set(), [id for id in metadata["workspace_members"] if is_shipped(packages[id])]
    shipped = set(waiting)
    while waiting:
        id = waiting.pop()
        if id not in found:
            found.add(id)
            waiting += used[id]
    checksums = {(package["name"], package["version"]): package.get("checksum") for package in lock["package"]}
    parts = sorted((packages[id] for id in found), key=lambda package: (package["name"], package["version"]))
    version = next(packages[id]["version"] for id in shipped)
    main = {"type": "application", "bom-ref": "aurora-rewind", "name": "aurora-rewind", "version": version}
    dependencies = [{"ref": "aurora-rewind", "dependsOn": sorted(purl(packages[id]) for id in shipped)}]
    for part in parts:
        on = [purl(packages[id]) for id in used[part["id"]]]
        on += [authorities["bom-ref"]] if has_authorities(part) else []
        dependencies.append({"ref": purl(part), "dependsOn": sorted(on)})
    dependencies.append({"ref": authorities["bom-ref"], "dependsOn": []})
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": main},
        "components": [*(component(part, checksums, shipped) for part in parts), authorities],
        "dependencies": dependencies,
    }


def is_shipped(package: dict) -> bool:
    return is_function(package) or pathlib.Path(package["manifest_path"]).parent.name == "cli"


def is_function(package: dict) -> bool:
    return pathlib.Path(package["manifest_path"]).parent.parent.name == "functions"


def has_authorities(package: dict) -> bool:
    """True for a function whose zip holds the certificates."""
    return is_function(package) and any(each["name"] in DATABASE_CRATES for each in package["dependencies"])


def uses(node: dict) -> set[str]:
    """The packages that a package is built from; not those of its tests."""
    return {each["pkg"] for each in node["deps"] if any(kind["kind"] != "dev" for kind in each["dep_kinds"])}


def component(package: dict, checksums: dict, shipped: set[str]) -> dict:
    checksum = checksums.get((package["name"], package["version"]))
    # Old manifests write a slash for OR.
    licences = [{"expression": package["license"].replace("/", " OR ")}] if package.get("license") else []
    return {
        "type": "application" if package["id"] in shipped else "library",
        "bom-ref": purl(package),
        "name": package["name"],
        "version": package["version"],
        "purl": purl(package),
        "licenses": licences,
    } | ({"hashes": [{"alg": "SHA-256", "content": checksum}]} if checksum else {})


def purl(package: dict) -> str:
    return f"pkg:cargo/{package['name']}@{package['version']}"


if __name__ == "__main__":
    main()
