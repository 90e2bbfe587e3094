"""Writes the software bill of materials of what is shipped, as CycloneDX: the crates in the functions and in `rewind`, with version, licence and
checksum, and which of them uses which.

It reads `cargo metadata` and Cargo.lock, and never leaves the machine but for crates that cargo has not fetched yet.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tomllib

# What the functions are built for; a terminal's program has the same crates on another machine.
TARGET = "aarch64-unknown-linux-gnu"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=pathlib.Path, required=True, help="the checkout")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="the file to write")
    arguments = parser.parse_args()
    command = ["cargo", "metadata", "--locked", "--format-version=1", "--filter-platform", TARGET]
    metadata = json.loads(subprocess.run(command, cwd=arguments.root, check=True, stdout=subprocess.PIPE).stdout)
    lock = tomllib.loads((arguments.root / "Cargo.lock").read_text())
    bom = bill(metadata, lock)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(bom, indent=1) + "\n")
    print(f"{arguments.out}: {len(bom['components'])} parts", file=sys.stderr)


def bill(metadata: dict, lock: dict) -> dict:
    """Makes the bill of a workspace's shipped programs."""
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
    dependencies += [{"ref": purl(part), "dependsOn": sorted(purl(packages[id]) for id in used[part["id"]])} for part in parts]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": main},
        "components": [component(part, checksums, shipped) for part in parts],
        "dependencies": dependencies,
    }


def is_shipped(package: dict) -> bool:
    return any(f"/{folder}/" in package["manifest_path"] for folder in ("functions", "cli"))


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
