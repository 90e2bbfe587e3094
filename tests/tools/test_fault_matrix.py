"""Holds the fault matrix to the declaration: a state that invokes a function and is in no flow, a state without a rule for its end, or
a page that is not of this declaration fails here, without a stack. Beside that the part of the matrix that a commit chooses."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "faults"))

import flows  # noqa: E402
import part  # noqa: E402
import report  # noqa: E402


def test_every_state_that_invokes_a_function_has_a_row():
    assert flows.uncovered() == [], "next step: a flow of tests/faults/flows.py that passes there"


def test_every_cell_has_an_end():
    ends = {case.id: case.due()[0] for case in flows.cases()}
    known = {state for machine in flows.DECLARED.values() for states in machine["stages"].values() for state in states}
    assert {case: end for case, end in ends.items() if end not in known} == {}, "ends that no machine has"


def test_whoever_is_called_has_a_next_step():
    without = {case.flow.name: case.due()[1] for case in flows.cases() if case.due()[0] in ("NeedsOperator", "RolledBack", "NotCleanedUp") and not case.next_step()}
    # Clients are on the rewound cluster, and the clone is kept.
    assert without == {"in place": flows.CLONE}


def test_what_is_kept_is_resumed_and_what_is_fenced_is_undone():
    for case in flows.cases():
        end, left = case.due()
        if (end, left) == ("NothingChanged", flows.RESTORED):
            assert case.next_step() == flows.RESUME, case.id
        if left in (flows.SOURCE, flows.BOTH) and case.flow.machine != flows.CLEAN_UP:
            assert case.next_step() == flows.TAKE_BACK, case.id


def test_the_page_is_that_of_the_declaration():
    page = (ROOT / "docs" / "fault-matrix.md").read_text()
    assert page == report.page(), "next step: python3 tests/faults/report.py, then make faults"


def test_a_state_that_is_in_no_flow_is_found(monkeypatch):
    machine = {**flows.DECLARED[flows.REWIND]}
    machine["payloads"] = {**machine["payloads"], "BrandNew": []}
    monkeypatch.setitem(flows.DECLARED, flows.REWIND, machine)
    assert flows.uncovered() == [(flows.REWIND, "BrandNew")]


COMMIT = "0123456789abcdef0123456789abcdef01234567"


def write(folder, files):
    """Writes files of git, each with its text."""
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@pytest.mark.parametrize("files", [
    {"HEAD": f"{COMMIT}\n"},
    {"HEAD": "ref: refs/heads/main\n", "refs/heads/main": f"{COMMIT}\n"},
    {"HEAD": "ref: refs/heads/main\n", "packed-refs": f"# pack-refs with: peeled\n{'f' * 40} refs/heads/other/main\n{COMMIT} refs/heads/main\n"},
], ids=["detached", "branch", "packed"])  # fmt: skip
def test_commit_of_a_clone_is_read_without_git(tmp_path, files):
    write(tmp_path / ".git", files)
    assert part.commit(tmp_path) == COMMIT


@pytest.mark.parametrize("file", ["refs/heads/main", "packed-refs"])
def test_commit_of_a_worktree_is_read_from_its_clone(tmp_path, file):
    line = f"{COMMIT}\n" if file != "packed-refs" else f"{COMMIT} refs/heads/main\n"
    write(tmp_path / "clone/.git", {file: line, "worktrees/w/HEAD": "ref: refs/heads/main\n", "worktrees/w/commondir": "../..\n"})
    write(tmp_path / "w", {".git": f"gitdir: {tmp_path}/clone/.git/worktrees/w\n"})
    assert part.commit(tmp_path / "w") == COMMIT


@pytest.mark.parametrize("files", [
    {}, {".git/HEAD": "ref: refs/heads/main\n"}, {".git/HEAD": "no commit\n"}, {".git": "gitdir: nowhere\n"}, {".git": "anything\n"},
], ids=["no git", "no such branch", "no commit", "no such folder", "no folder"])  # fmt: skip
def test_commit_that_cannot_be_read_chooses_no_part(tmp_path, files):
    write(tmp_path, files)
    with pytest.raises(ValueError):
        part.chosen("commit/16", tmp_path)


def test_another_commit_chooses_another_part(tmp_path):
    chosen = set()
    for last in "0123456789abcdef":
        write(tmp_path / ".git", {"HEAD": COMMIT[:-1] + last})
        number, parts, by = part.chosen("commit/16", tmp_path)
        assert parts == 16 and COMMIT[:12] in by
        chosen.add(number)
    assert chosen == set(range(1, 17))


def test_part_that_is_asked_for_needs_no_commit(tmp_path):
    assert part.chosen("3/12", tmp_path)[:2] == (3, 12)
