"""The table of the matrix: for people on the terminal with what happened, and as `docs/fault-matrix.md` with what has to happen.

    python3 tests/faults/report.py    writes the page, after a change of the declaration or of the rules
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import flows  # noqa: E402
from part import checked_out  # noqa: E402

CHECKOUT = Path(__file__).resolve().parents[2]
PAGE = CHECKOUT / "docs" / "fault-matrix.md"
RESULT = "end"
BEGAN = time.monotonic()
# Read now: a run takes an hour and more, and people commit meanwhile.
RAN = checked_out(CHECKOUT)
# One sentence about the last run of all cells, which the page has too.
LAST_RUN = Path(__file__).resolve().with_name("last_run.txt")


def print_table(terminal, part, chosen_by):
    """Prints which part of the matrix ran, and a line for each case."""
    reports = [r for outcome in ("passed", "failed", "skipped") for r in terminal.stats.get(outcome, [])]
    rows = sorted((dict(r.user_properties).get("case", ""), dict(r.user_properties).get(RESULT, ""), r.outcome, r.duration)
                  for r in reports if r.when == "call" and "case" in dict(r.user_properties))  # fmt: skip
    number, parts = map(int, part.split("/"))
    cells = len(flows.cases()[number - 1 :: parts])
    terminal.section("fault matrix")
    selected = f", and of these those of -k {terminal.config.option.keyword!r}" if terminal.config.option.keyword else ""
    terminal.write_line(f"part {number} of {parts}, {chosen_by}: {cells} of {len(flows.cases())} cells{selected}")
    record(rows)
    for case, end, outcome, duration in rows:
        terminal.write_line(f"{outcome:7} {duration:6.1f} s  {case:58} {end}")


def record(rows):
    """Writes down a run of every cell, and the page with it."""
    cells = {case.id for case in flows.cases()}
    outcomes = [outcome for case, _, outcome, _ in rows if case in cells]
    failed = [f"`{case}`" for case, _, outcome, _ in rows if case in cells and outcome != "passed"]
    if len(outcomes) == len(cells):
        minutes, passed = round((time.monotonic() - BEGAN) / 60), outcomes.count("passed")
        others = f" Not passed: {', '.join(failed)}." if failed else ""
        LAST_RUN.write_text(
            f"Last run of all {len(cells)} cells: {time.strftime('%Y-%m-%d')}, {of_trees(RAN, checked_out(CHECKOUT))}, "
            f"{passed} passed, {minutes} minutes.{others}\n"
        )
        write(PAGE)


def of_trees(began, ended):
    """The tree that ran, and that another one was there at the end of the run: the cells and the rules may have been those of either."""
    return began if began == ended else f"{began} (at its end the tree was {ended})"


def write(path):
    path.write_text(page())


def page():
    """The whole page, from the declaration of the states and the rules of their ends: two runs of it write the same."""
    cases = flows.cases()
    lines = [
        "# The fault matrix", "",
        "Every state that invokes a function fails in every way, on real databases and with the real functions: `make faults` runs all of",
        "it, `make faults PART=3/12` a part. The tables say how each case has to end, and not when it was last run. The states come from the",
        "declaration in `statemachine/src`, the faults and the rules from `tests/faults/flows.py`; `python3 tests/faults/report.py` writes this page: do not edit it here.", "",
        "| fault | stands for |", "|---|---|",
        *(f"| {name} | {about} |" for name, (_, _, about) in flows.FAULTS.items()), "",
        "In every cell two applications with sticky connections write by name all the time, and every acknowledged row is on the source,",
        "the restored cluster or the safety clone afterwards. A cell says its end, what is left, and what people are told to do then. Nothing else",
        "is left: a cluster, an instance, a final snapshot or a lease that the end does not name fails the cell, and so does a parameter group without its",
        "cluster. What a clean-up tells is not read, because it sends messages. A fenced cluster has the security groups of the fence, and a fenced source",
        "refuses the logins of the applications. A source that is not called fenced has its record, logins, security groups and tags as at first.", "",
        "Then `make faults` does what people are told to do, before it mends anything: a resume has to end in `Recovered`, and is undone where it moved",
        "traffic; an undo in `Undone`; a clean-up in `CleanedUp`. After that record, logins, security groups and tags of the source are as at first, and",
        "no lease is held. Leases that people are told to delete are deleted before, and where `UndoFinish` failed, the tags that people are told of",
        "are not compared. The next cell is a recovery of the same cluster, but for one that was cleaned up.", "",
        f"{len(cases)} cells. Pauses before retries are a five hundredth of the product's: how long it waits is not tested here",
        "(`tests/src/timeouts.rs` and the path tests hold that).", "", LAST_RUN.read_text().strip(),
    ]  # fmt: skip
    passing = [fault for fault in flows.FAULTS if fault not in flows.FOR_GOOD]
    for flow in flows.FLOWS:
        lines += ["", f"## {flow.name}", "", f"{flow.about[0].upper()}{flow.about[1:]}. Without a fault: `{flow.end}`.", "",
                  f"| state | {' | '.join(flows.FOR_GOOD)} | {', '.join(passing)} |", "|---|---|---|---|"]  # fmt: skip
        for state in flow.steps():
            cells = [cell(flow, state, fault) for fault in [*flows.FOR_GOOD, passing[0]]]
            lines.append(f"| {state} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def cell(flow, state, fault):
    """The end, what is left, and what is done then."""
    then = flows.next_step(flow, state, fault)
    return " → ".join([*flows.due(flow, state, fault), *([f"*{then}*"] if then else [])])


if __name__ == "__main__":
    write(PAGE)
