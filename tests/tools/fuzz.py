"""Gives the readers of foreign input random input for a time: each property test of the list below, again and again with other input, until its
share of the time is over. What fails is printed with the smallest input that proptest finds for it, and kept in the crate's
proptest-regressions, from which `make unit` runs it first.

The input is drawn at random from what each test describes; no coverage guides it.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).parents[2]
# Each reader by its crate, and the property tests that it has.
READERS = {
    "a MySQL server": ("rewind-db", ["mysql::protocol::tests::whatever_a_server_sends"]),
    "Slack's door": ("chatops", ["slack_request::tests::no_body", "signature::tests::no_header", "button::tests::no_value"]),
    "the line of a chat": ("rewind-ui", ["chat::tests::no_line", "chat::tests::words_of_chat", "shorthand::tests::no_text"]),
    "a request": ("rewind-core", ["request::tests::no_input"]),
    "a duration": ("rewind-core", ["time::tests::whatever_is_read", "time::tests::no_text"]),
    "text for people": ("rewind-core", ["printable::tests::"]),
}
# Of one run: many enough that starting it costs little, few enough that the time is kept.
CASES = 4_000
SUMMARY = re.compile(r"test result: \w+\. (\d+) passed; (\d+) failed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, required=True)
    seconds = parser.parse_args().seconds
    tests = executables()
    failed = [reader for reader, (crate, names) in READERS.items() if not holds(reader, *tests[crate], names, seconds / len(READERS))]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def executables() -> dict[str, tuple[pathlib.Path, pathlib.Path]]:
    """Builds the unit tests as `make unit` does; answers, for each crate, its folder and the program."""
    command = ["cargo", "test", "--locked", "--workspace", "--lib", "--no-run", "--message-format=json-render-diagnostics"]
    lines = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    built = [message for message in map(json.loads, lines) if message.get("executable")]
    folders = [pathlib.Path(message["manifest_path"]).parent for message in built]
    return {folder.name: (folder, pathlib.Path(message["executable"])) for folder, message in zip(folders, built)}


def holds(reader: str, folder: pathlib.Path, executable: pathlib.Path, names: list[str], seconds: float) -> bool:
    """Runs the reader's tests until the time is over or one fails."""
    environment = os.environ | {"PROPTEST_CASES": str(CASES), "RUST_BACKTRACE": "0"}
    end, runs, found = time.monotonic() + seconds, 0, 0
    while not runs or time.monotonic() < end:
        run = subprocess.run([executable, *names], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        passed = SUMMARY.search(run.stdout)
        if run.returncode or not passed:
            print(run.stdout)
            print(f"{reader}: failed in run {runs + 1}", flush=True)
            return False
        found, runs = int(passed[1]), runs + 1
        if found < len(names):
            sys.exit(f"{reader}: {found} tests, and {len(names)} names: {', '.join(names)}")
    print(f"{reader}: {found} tests, {runs} runs of {CASES:,} inputs each", flush=True)
    return True


if __name__ == "__main__":
    main()
