"""Holds what code, pages, Makefile and scripts start or tell people to start: cargo takes the versions of Cargo.lock, pip compares hashes, and
no secret is an argument, which every user of a machine can read.
"""

import re

import pytest

from programs import ROOT, commands, project_texts

# The commands of cargo that choose versions. Without --locked, `install` leaves Cargo.lock aside, and the others write a new one
# where it does not fit.
CHOOSING = "bench|build|check|clippy|doc|fetch|install|metadata|nextest|package|run|rustc|rustdoc|test|tree"
CALL = re.compile(rf"\bcargo(?: +[-+][^\s`]+)* +(?:{CHOOSING})\b[^`\n;|&\"]*")
# As Python and Rust start it. What is behind the list is in the same statement of Rust.
PYTHON_CALL = re.compile(r'\[[^][]*"cargo(?:-lambda)?"[^][]*\]')
RUST_CALL = re.compile(r'Command::new\("cargo"\)[^;]*;')
# Old versions are told of there.
HISTORY = "CHANGELOG.md"
REQUIREMENT = re.compile(r"[A-Za-z0-9][\w.-]*==\S+( +--hash=sha256:[0-9a-f]{64})+")
# The variables of stack.env, and of the pages, that hold secrets.
SECRETS = re.compile(r"\$\{?(?:AWS_SECRET_ACCESS_KEY|CHAT_SIGNING_SECRET|MYSQL_PWD|PGPASSWORD|\w*password\w*|\w*secret\w*)\b")


def unlocked(name: str, text: str) -> list[str]:
    """The calls of cargo in a file that may take other versions than those of Cargo.lock."""
    if name.endswith(".rs"):
        text = re.sub(r"\n *//[/!]? ?", " ", text)  # a command in a comment may go on in its next line
    text = text.replace("\\\n", " ")
    if name == "Makefile":
        variables = dict(re.findall(r"^(\w+) [:?]?= *(.*)$", text, re.MULTILINE))
        text = re.sub(r"\$\((\w+)\)", lambda variable: variables.get(variable[1], variable[0]), text)
    calls = [call[0].split(" -- ")[0] for call in CALL.finditer(text)]
    calls += [call[0] for call in PYTHON_CALL.finditer(text)] if name.endswith(".py") else []
    calls += [call[0] for call in RUST_CALL.finditer(text)] if name.endswith(".rs") else []
    return [" ".join(call.split()) for call in calls if not re.search(r"(?<![\w-])--locked\b", call)]


def test_every_call_of_cargo_takes_the_versions_of_the_lock_file():
    texts = project_texts()
    assert "Cargo.lock" in texts
    wrong = [f"{name}: {call}" for name, text in texts.items() if name != HISTORY for call in unlocked(name, text)]
    assert not wrong, "without --locked:\n" + "\n".join(wrong)


CARGO = "cargo"  # apart, so that the calls below are none of this file's


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.md", f"`{CARGO} install --path cli` puts it on the PATH."),
        ("a.md", f"```sh\n{CARGO} run -q -p rewind-cli -- status --locked\n```"),
        ("a.md", f"or `{CARGO} +stable -q nextest run -p a` with --locked"),
        ("a.sh", f"{CARGO} build --bins; other --locked"),
        ("Makefile", f"SET := --workspace\nunit:\n\t{CARGO} test \\\n\t  $(SET)\n"),
        ("a.py", f'command = ["{CARGO}", "metadata", "--unlocked"]'),
        ("a.py", f'command = [tools / "{CARGO}-lambda", "lambda", "build"]'),
        ("a.rs", f'Command::new("{CARGO}")\n.args(["build", "--quiet"])\n.status()?;'),
        ("a.rs", f"//! `REWIND_DRAW=1 {CARGO} run\n//! -p a` writes it.\n"),
    ],
)
def test_unlocked_call_is_found(name, text):
    assert len(unlocked(name, text)) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.md", f"`{CARGO} install --locked --path cli`, and `{CARGO} fmt --all`, and {CARGO} in a sentence"),
        ("Makefile", f"SET := --locked --workspace\nunit:\n\t{CARGO} test \\\n\t  $(SET)\n"),
        ("a.py", f'command = ["{CARGO}", "test", "--locked"]'),
        ("a.rs", f'Command::new("{CARGO}")\n.args(["build", "--locked"])\n.status()?;'),
        ("a.rs", f"//! `{CARGO} run\n//! --locked -p a` writes it.\n"),
    ],
)
def test_locked_call_passes(name, text):
    assert unlocked(name, text) == []


def requirements(text: str) -> list[str]:
    """The lines of a list for pip, each with what continues it."""
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


LISTS = sorted(path for path in (ROOT / "local/tools").glob("*.txt") if path.name != "needs.txt")


@pytest.mark.parametrize("path", LISTS, ids=[path.stem for path in LISTS])
def test_every_requirement_has_its_version_and_hash(path):
    found = requirements(path.read_text())
    assert found, "an empty list"
    wrong = [line for line in found if not REQUIREMENT.fullmatch(line)]
    assert not wrong, f"{path.name}: no version with a hash: {wrong}"


def test_requirement_without_a_hash_is_found():
    lines = requirements(f"# a list\na==1 \\\n    --hash=sha256:{'0' * 64}\nb==2\n--index-url https://x\nc>=3 --hash=sha256:{'0' * 64}\n")
    assert [bool(REQUIREMENT.fullmatch(line)) for line in lines] == [True, False, False, False]


def shown_secrets(page: str) -> list[str]:
    """The arguments in the code of a page that hold a secret. An assignment before a command, or its standard input, is no argument."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^```.*?^```", "", page, flags=re.MULTILINE | re.DOTALL)
    inline = [code for code in re.findall(r"`([^`]+)`", prose) if SECRETS.search(code)]
    found = []
    for words in (words for code in blocks + inline for words in commands(code)):
        while words and re.match(r"\w+=", words[0]):
            words = words[1:]
        if words and words[0] not in ("export", "local", "printf", "echo"):  # the shell's own, which start nothing
            found += [word for word in words if SECRETS.search(word)]
    return found


def test_no_page_puts_a_secret_on_a_command_line():
    wrong = [f"{name}: {word}" for name, text in project_texts().items() if name.endswith(".md") for word in shown_secrets(text)]
    assert not wrong, "every user of the machine can read it:\n" + "\n".join(wrong)


def test_secret_on_a_command_line_is_found():
    page = """
A `curl -H "x-key: $AWS_SECRET_ACCESS_KEY" "$URL"` and `curl -H @- "$URL" <<< "x-key: $AWS_SECRET_ACCESS_KEY"`.

```sh
export MYSQL_PWD=$(one secret)
PGPASSWORD=$MYSQL_PWD psql --host=$address
printf 'x%s' "$(printf y | openssl dgst -hmac "$CHAT_SIGNING_SECRET" -r)"
mysql --password="$password" -e "SELECT 1"
```
"""
    assert sorted(shown_secrets(page)) == ["$CHAT_SIGNING_SECRET", "--password=$password", "x-key: $AWS_SECRET_ACCESS_KEY"]
