"""Finds the programs that code, tests, Makefile and scripts start, and reads local/tools/needs.txt. Starts nothing of what it finds.

A program whose name is computed can't be read: it is listed below, so that a new one is noticed.
"""

import ast
import os
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
TABLE = ROOT / "local" / "tools" / "needs.txt"
# What is started under a computed name, by file: our own binaries, programs of our virtual environments, or a helper's
# parameter whose callers are read (RUST_CALLS, and parameters of Python functions by themselves).
COMPUTED = {
    "cli/tests/documents.rs": {'env!("CARGO_BIN_EXE_rewind")'},
    "cli/tests/profile.rs": {'env!("CARGO_BIN_EXE_rewind")'},
    "crates/rewind-db/tests/support/mod.rs": {'format!("{BIN}/{command}")'},
    "local/src/private.rs": {"std::env::current_exe().unwrap()"},
    "local/src/servers/host.rs": {"program"},
    "local/src/stack/tools.rs": {'layout.root.join("local/tools/needs")', 'folder.join("bin/python")'},
    "local/src/stack/up.rs": {"program"},
    "local/tools/arm64-rust": {"$1", "$wrapper"},
    "local/tools/fresh": {"$0"},
    "local/tools/needs": {"$1"},
    "local/tools/lint_asl.py": {"pathlib.Path(sys.executable).with_name('cfn-lint')"},
    "local/tools/lint_template.py": {"checkov"},
    "infra/package.py": {"root / 'local/tools/arm64-rust'", "tools / 'cargo-lambda'"},
    "tests/e2e/test_chat_refusals.py": {"folder / 'bootstrap'"},
    "tests/e2e/test_cli.py": {"_rewind", "before"},
    "tests/expressions/reference.py": {"self.node"},
    "tests/paths/deployment.py": {"self.aws", "self.ministack"},
    "tests/tools/fuzz.py": {"executable"},
    "tests/tools/test_deploy.py": {"TOOLS / 'ministack/bin/python'", "self.command('--with', 'aws')", "self.command(*more)"},
}
# What the programs on the left start by themselves, on Debian's side of the line and not ours.
STARTED_BY_OTHERS = {"cargo": ["cc"]}
TEXT = r'"((?:[^"\\]|\\.)*)"'
# Ways to start a program in Rust whose first argument names it. What a document shows is typed by people.
RUST_CALLS = re.compile(r"(?:\bCommand::new|\bon_path|\bas_postgres|\bas_mysql|\bbare|\bhost\s*\.run|(?<!document)\.command)\(\s*" + TEXT)
RUST_NEW = re.compile(r"\bCommand::new\(\s*(?!\")")
RUST_SHELL = re.compile(r"\bshell\((?:&format!\()?" + TEXT)
KEYWORDS = {"if", "then", "elif", "else", "fi", "for", "while", "until", "do", "done", "esac", "{", "}", "!", "[[", "time"}
BUILTINS = set(
    ": . [ break cd command compgen continue declare echo eval exec exit export false local mapfile printf pwd read readonly "
    "return set shift source test trap true type ulimit umask unset wait".split()
)


def declared() -> dict[str, str]:
    """The table: program -> source."""
    rows = [line.split() for line in TABLE.read_text().splitlines() if line.strip() and not line.startswith("#")]
    return {row[0]: row[1] for row in rows}


# ---- what is started ----


def started() -> dict[str, set[str]]:
    """Every program that is started: program -> the files that start it. Our own are left out."""
    texts = project_texts()
    found: list[tuple[str, str]] = []
    python = {name: ast.parse(text) for name, text in texts.items() if name.endswith(".py") or (text.startswith("#!") and "python" in text.splitlines()[0])}
    for name, text in texts.items():
        if text.startswith("#!"):
            found += [(name, word.rsplit("/", 1)[-1]) for word in text[2:].splitlines()[0].split() if word != "/usr/bin/env"]
        if name in python:
            found += [(name, program) for program in Python(name, python).programs()]
        elif name.endswith(".rs"):
            found += [(name, program) for program in rust(name, text)]
        elif name == "Makefile":
            found += [(name, program) for program in makefile(text)]
        elif text.startswith("#!") and "sh" in text.splitlines()[0]:
            found += [(name, program) for program in shell(text)]

    ours = our_own(texts)
    uses: dict[str, set[str]] = {}
    for name, program in found:
        for each in [program, *STARTED_BY_OTHERS.get(program, [])]:
            if each in COMPUTED.get(name, ()) or each in ours or each in texts or is_tool(each):
                continue
            short = each.rsplit("/", 1)[-1] if re.fullmatch(r"(\{BIN\}|/[a-z/]*)/[\w.-]+", each) else each
            uses.setdefault(short, set()).add(name)
    return uses


def project_texts() -> dict[str, str]:
    """The project's files that hold text: name -> text."""
    files = []
    for folder, folders, names in os.walk(ROOT):
        # Not the project's: what is built, installed, or somebody's own.
        folders[:] = sorted(name for name in folders if name == ".ci" or not (name.startswith(".") or name in ("target", "node_modules")))
        files += [str((pathlib.Path(folder) / name).relative_to(ROOT)) for name in sorted(names)]
    return {name: text for name in files if (text := readable(ROOT / name))}


def readable(path: pathlib.Path) -> str:
    try:
        return path.read_text()
    except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
        return ""


def our_own(texts: dict[str, str]) -> set[str]:
    """The binaries of the workspace."""
    manifests = [text for name, text in texts.items() if name.endswith("Cargo.toml")]
    return {name for text in manifests for name in re.findall(r'^name = "([^"]+)"', text, re.M)}


def is_tool(program: str) -> bool:
    """A program of a virtual environment that is pinned here."""
    tool = re.fullmatch(r"\.local/tools/(\w+)/bin/[\w-]+", program)
    return bool(tool and TABLE.with_name(f"{tool[1]}.txt").exists())


# ---- Rust ----


def rust(name: str, text: str):
    for literal in RUST_CALLS.finditer(text):
        yield literal[1]
    for call in RUST_NEW.finditer(text):
        expression = balanced(text, call.end())
        inside = re.fullmatch(r'format!\("(\{BIN\}/[\w-]+)"\)', expression)
        yield inside[1] if inside else expression
    for literal in re.finditer(r'format!\("(\{BIN\}/[^"]+)"\)', text):
        yield literal[1] if re.fullmatch(r"\{BIN\}/[\w-]+", literal[1]) else literal[0]
    for script in RUST_SHELL.finditer(text):
        yield from shell(re.sub(r"\{\w*\}", "x", script[1]))
    if re.search(r'"-m", "venv"', text):
        yield "venv"


def balanced(text: str, start: int) -> str:
    """The text from `start` to the bracket that closes what was open there."""
    depth = 0
    for at in range(start, len(text)):
        depth += (text[at] in "([{") - (text[at] in ")]}")
        if depth < 0:
            return text[start:at].strip()
    return text[start:]


# ---- Python ----


class Python:
    """The programs that one file starts. Names are followed to their assignments, parameters to the calls."""

    def __init__(self, name: str, modules: dict[str, ast.Module]) -> None:
        self.tree, self.modules = modules[name], modules

    def programs(self):
        for function in [self.tree, *(node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef))]:
            for call in own_calls(function):
                called = ast.unparse(call.func)
                if re.fullmatch(r"subprocess\.(run|Popen|call|check_call|check_output)|shutil\.which", called):
                    yield from self.first(call.args[0], function)
                elif re.match(r"os\.(exec|spawn|popen|system|posix_spawn)|asyncio\.create_subprocess|pty\.spawn", called):
                    yield ast.unparse(call)  # not read here: nothing uses them

    def first(self, node: ast.expr, function: ast.AST):
        """The program of a command line, which may be a list or a name for one."""
        if isinstance(node, ast.Constant):
            yield str(node.value)
        elif isinstance(node, ast.List | ast.Tuple):
            for at, element in enumerate(node.elts):
                if not isinstance(element, ast.Starred):
                    yield from self.first(element, function)
                    if isinstance(element, ast.Constant) and element.value.rsplit("/")[-1] in ("sh", "bash"):
                        yield from self.script(node.elts[at + 1 :], function)
                    break
                yield from self.first(element.value, function)
        elif isinstance(node, ast.IfExp):
            yield from self.first(node.body, function)
            yield from self.first(node.orelse, function)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            yield from self.first(node.left, function)
        elif ast.unparse(node) == "sys.executable":
            yield "python3"
        elif isinstance(node, ast.Name) and (values := self.values(node.id, function)):
            for value in values:
                yield from self.first(value, function)
        else:
            yield ast.unparse(node)

    def script(self, arguments: list[ast.expr], function: ast.AST):
        """The programs of what is given to a shell."""
        if len(arguments) > 1 and getattr(arguments[0], "value", "") == "-c":
            given = arguments[1]
            values = self.values(given.id, function) if isinstance(given, ast.Name) else [given]
            for value in values:
                if isinstance(value, ast.Constant):
                    yield from shell(value.value)

    def values(self, name: str, function: ast.AST) -> list[ast.expr]:
        """What a name of a function stands for."""
        found = [
            node.value
            for node in ast.walk(function)
            if isinstance(node, ast.Assign) and any(isinstance(to, ast.Name) and to.id == name for to in node.targets)
        ]
        if found or not isinstance(function, ast.FunctionDef):
            return found
        parameters = [argument.arg for argument in function.args.args]
        keywords = [argument.arg for argument in function.args.kwonlyargs]
        for module in self.modules.values() if name in parameters + keywords else []:
            for call in (node for node in ast.walk(module) if isinstance(node, ast.Call)):
                if ast.unparse(call.func).rsplit(".", 1)[-1] == function.name:
                    found += [keyword.value for keyword in call.keywords if keyword.arg == name]
                    at = parameters.index(name) - (parameters[0] == "self") if name in parameters else len(call.args)
                    found += call.args[at : at + 1]
            for given in [value.id for value in found if isinstance(value, ast.Name)]:
                found += self.values(given, module)
        return [value for value in found if isinstance(value, ast.Constant | ast.List | ast.Tuple)]


def own_calls(function: ast.AST):
    """The calls in a function or a module, without those of the functions in it."""
    for node in ast.iter_child_nodes(function):
        if not isinstance(node, ast.FunctionDef):
            if isinstance(node, ast.Call):
                yield node
            yield from own_calls(node)


# ---- shell and Makefile ----


def makefile(text: str):
    text = text.replace("\\\n", " ")
    variables = dict(re.findall(r"^(?:\w+: )?([A-Z_0-9]+) [:?]?= *(.*)$", text, re.M)) | {"CURDIR": ".", "BIN": ".", "MAKE": "make"}
    for line in text.splitlines():
        for name in re.findall(r"\$\(shell (.*)\)", line):
            yield from shell(name)
        if line.startswith("\t"):
            line = line.strip().lstrip("@-+")
            for _ in range(3):
                line = re.sub(r"\$\((\w+)\)", lambda variable: variables.get(variable[1], "x"), line)
            line = re.sub(r"\$\((?:if|or|abspath|filter)\b(?:[^()]|\([^()]*\))*\)", "x", line).replace("$$", "$")
            yield from (program.removeprefix("./") for program in shell(line))


def shell(text: str):
    """The programs that a script starts, its own functions and the shell's builtins left out."""
    functions = set(re.findall(r"([\w-]+)\s*\(\)", text))
    for command in commands(text):
        yield from (program for program in program_of(command) if program not in functions)


def program_of(words: list[str]):
    """The program of a simple command, and the one that it starts in turn."""
    words = list(words)
    while words and (words[0] in KEYWORDS or re.match(r"\w+\+?=", words[0])):
        if words.pop(0) in ("for",):
            return
    if not words:
        return
    program, rest = words[0], words[1:]
    if program == "case":
        return
    if program == "trap":
        yield from shell(rest[0]) if rest[:1] != ["-"] else ()
    elif program in ("command", "type", "exec"):
        plain = [word for word in rest if not word.startswith("-") and not word.isdigit()]
        yield from program_of(plain) if program == "exec" else plain
    elif program not in BUILTINS and program != "kill":
        yield program
        if program == "chroot":
            yield from program_of(rest[1:])
        elif program in ("env", "setpriv", "nice"):
            yield from program_of([word for word in rest if not word.startswith("-") and "=" not in word and "[@]" not in word])
        elif program in ("sh", "bash") and rest[:1] == ["-c"]:
            yield from shell(rest[1])


def commands(text: str) -> list[list[str]]:
    """The simple commands of a script, each as its words; substitutions are commands of their own."""
    found: list[list[str]] = [[]]
    at, word, quoted = 0, "", False

    def end_word() -> None:
        nonlocal word, quoted
        if word or quoted:
            found[-1].append(word)
        word, quoted = "", False

    def end_command() -> None:
        end_word()
        found.append([])

    while at < len(text):
        char, two = text[at], text[at : at + 2]
        if char == "\\":
            word += "" if two == "\\\n" else text[at + 1 : at + 2]
            at += 2
        elif char == "'":
            close = text.index("'", at + 1)
            word, quoted, at = word + text[at + 1 : close], True, close + 1
        elif two in ("$(", "<(", ">("):
            inside = text[at + 2 : at + 2 + closing(text[at + 2 :])]
            found[:0] = commands(inside) if not inside.startswith("(") else []  # $((arithmetic))
            word, at = word + "$" * (two == "$("), at + len(inside) + 3
        elif char == '"':
            at += 1
            while text[at] != '"':
                if text.startswith("$(", at):
                    inside = text[at + 2 : at + 2 + closing(text[at + 2 :])]
                    found[:0] = commands(inside) if not inside.startswith("(") else []
                    word, at = word + "$", at + len(inside) + 3
                else:
                    at += text[at] == "\\"
                    word, at = word + text[at], at + 1
            quoted, at = True, at + 1
        elif two == "${":
            close = text.index("}", at)
            word, at = word + text[at : close + 1], close + 1
        elif char == "#" and not word:
            at = (text + "\n").index("\n", at)
        elif two == "<<" and text[at : at + 3] != "<<<":
            mark = re.match(r"<<-?\s*['\"]?(\w+)['\"]?(.*)\n", text[at:])
            rest = text.index(f"\n{mark[1]}\n", at)
            text = text[:at] + mark[2] + text[rest + len(mark[1]) + 1 :]
        elif redirection := re.match(r"(?:&>|\d*[<>]+&?)\s*", text[at:]):
            # What comes next is a file and no argument.
            end_word()
            at += redirection.end()
            file = re.match(r"-|\d+\b|(?:[\w./*$@{}-]|\"[^\"]*\")*", text[at:])
            at += file.end() if not text.startswith(("<(", "$("), at) else 0
        elif char == "(" and re.fullmatch(r"\w+\+?=", word):
            inside = text[at + 1 : at + 1 + closing(text[at + 1 :])]
            found[:0] = commands(inside.replace("\n", " "))[:-1]  # the last is the array's words
            at += len(inside) + 2
        elif two == ";;" or char.isspace() and word == "in" and found[-1][:1] == ["case"]:
            end_command()
            # What follows is a pattern, up to its bracket, or the end.
            at += re.match(r"(?:;;)?\s*", text[at:]).end()
            if not text.startswith("esac", at):
                at += re.match(r"(?:\\.|'[^']*'|\"[^\"]*\"|[^)'\"\\])*\)", text[at:]).end()
        elif char in "\n;&|()":
            end_command()
            at += 1
        elif char.isspace():
            end_word()
            at += 1
        else:
            word, at = word + char, at + 1
    end_command()
    return [command for command in found if command]


def closing(text: str) -> int:
    """Where the bracket closes that was open before the text; quotes hide brackets."""
    depth, quote = 1, ""
    for at, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        else:
            depth += (char == "(") - (char == ")")
            if depth == 0:
                return at
    raise ValueError(f"no bracket closes {text[:40]}")
