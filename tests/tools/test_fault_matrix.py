"""Holds the fault matrix to the declaration: a state that invokes a function and is in no flow, a state without a rule for its end, or
a page that is not of this declaration fails here, without a stack. Beside that the part of the matrix that a commit chooses."""

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

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


class Terminal:
    """What pytest gives to the summary, as far as it is used."""

    def __init__(self, cases):
        self.stats = {"passed": [Passed(case) for case in cases]}
        self.config = SimpleNamespace(option=SimpleNamespace(keyword=""))

    def section(self, _):
        pass

    def write_line(self, _):
        pass


class Passed:
    when, outcome, duration = "call", "passed", 1.0

    def __init__(self, case):
        self.user_properties = [("case", case.id), (report.RESULT, "so")]


def test_the_last_run_names_the_commit_at_its_begin_and_another_one_at_its_end(monkeypatch, tmp_path):
    last, page = tmp_path / "last_run.txt", tmp_path / "page.md"
    monkeypatch.setattr(report, "LAST_RUN", last)
    monkeypatch.setattr(report, "PAGE", page)
    for began, ended, told in [
        ("commit aaa", "commit aaa", ", commit aaa, "),
        ("commit aaa", "commit bbb", ", commit aaa (at its end the tree was commit bbb), "),
        ("commit aaa", "commit aaa with uncommitted changes", ", commit aaa (at its end the tree was commit aaa with uncommitted changes), "),
    ]:
        monkeypatch.setattr(report, "RAN", began)
        monkeypatch.setattr(report, "checked_out", lambda _: ended)
        report.print_table(Terminal(flows.cases()), "1/1", "asked for")
        assert told in last.read_text()
        assert last.read_text() in page.read_text()


def test_what_is_not_committed_is_told(tmp_path):
    if shutil.which("git") is None:
        pytest.skip("a clean root has no git")
    (tmp_path / "file").write_text("one")
    for arguments in [["init", "--quiet"], ["add", "file"], ["commit", "--quiet", "-m", "One"]]:
        subprocess.run(["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e@example.com", *arguments], check=True, capture_output=True)
    name = f"commit {part.commit(tmp_path)[:12]}"
    assert part.checked_out(tmp_path) == name
    (tmp_path / "file").write_text("another")
    assert part.checked_out(tmp_path) == f"{name} with uncommitted changes"
    assert part.checked_out(tmp_path / "nowhere") == "no commit that can be read"


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
