"""The part of the matrix that runs: `3/12`, or the one that the commit chooses. Reads the commit from the files of git, because a clean
root has none of its programs."""

import re
import shutil
import subprocess
from pathlib import Path


def chosen(option, checkout):
    """The number of the part, how many there are, and what chose it. Raises ValueError where that cannot be told."""
    number, _, parts = option.partition("/")
    if number != "commit":
        return int(number), int(parts), "asked for"
    name = commit(checkout)
    return int(name, 16) % int(parts) + 1, int(parts), f"chosen by commit {name[:12]}"


def commit(checkout):
    """The commit that is checked out in a clone or a worktree. Raises ValueError where it cannot be read."""
    folder = git_folder(Path(checkout))
    head = read(folder / "HEAD")
    name = of_ref(folder, head.removeprefix("ref: ")) if head.startswith("ref: ") else head
    if not re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", name):
        raise ValueError(f"{folder / 'HEAD'} leads to no commit: {head!r}")
    return name


def checked_out(checkout):
    """The tree that is checked out, as a sentence tells of it: the commit, and that files differ from it. Without the program of git nobody
    knows the latter."""
    try:
        name = f"commit {commit(checkout)[:12]}"
    except ValueError:
        return "no commit that can be read"
    return f"{name} with uncommitted changes" if is_changed(checkout) else name


def is_changed(checkout):
    """True if a file of the commit differs from it."""
    if shutil.which("git") is None:
        return False
    asked = subprocess.run(["git", "-C", str(checkout), "status", "--porcelain", "--untracked-files=no"], capture_output=True, text=True, check=False)
    return asked.returncode == 0 and asked.stdout.strip() != ""


def git_folder(checkout):
    """Where git keeps HEAD: `.git`, or in a worktree what the file `.git` names."""
    found = checkout / ".git"
    if found.is_dir():
        return found
    named = read(found)
    if not named.startswith("gitdir: "):
        raise ValueError(f"{found} names no folder of git: {named!r}")
    return checkout / named.removeprefix("gitdir: ")


def of_ref(folder, ref):
    """The commit of a branch; empty where it has none. The branches of a worktree are those of its clone."""
    common = folder / "commondir"
    folders = [folder, folder / read(common)] if common.exists() else [folder]
    for one in folders:
        if (one / ref).is_file():
            return read(one / ref)
    packed = folders[-1] / "packed-refs"
    lines = read(packed).splitlines() if packed.exists() else []
    return next((line.split(" ")[0] for line in lines if line.endswith(f" {ref}")), "")


def read(file):
    try:
        return file.read_text().strip()
    except OSError as error:
        raise ValueError(f"which commit is checked out cannot be read: {error}") from None
