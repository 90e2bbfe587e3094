"""The incident that README.md shows at a terminal, as it happens: a DELETE without WHERE, the plan, the approval, the switch and the end.
The page has what the commands print, without what is cut for its length. Compared is all but times, ids, hashes and the like.

    REWIND_DRAW=1 make e2e E2E=transcript       writes it anew
"""

import contextlib
import datetime
import difflib
import os
import re
import shlex
import termios
import textwrap

from engines import POSTGRES
from recovery import Started
from shop import settled_shop
from stack import ROOT
from test_cli import Screen, Terminal

PAGE = ROOT / "README.md"
BEGIN, END = "<!-- the incident: tests/e2e/test_transcript.py writes it -->\n", "<!-- the end of the incident -->\n"
CLUSTER, PREFIX = "e2e-orders-db", "e2e-"
CHECK = "[orders are back] shop: SELECT count(*) FROM orders => 4000"
ZONE = "Z0123456789ABC"
WIDTH = 140
# A terminal so wide that it breaks no line: the lines that are kept are chosen first, and broken then.
WIDE = 2000
STYLE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
# What another run has another value for.
VOLATILE = [
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "<time>"),
    (r"\b\d\d:\d\d:\d\dZ", "<time>"),
    (r"-\d{8}-\d{6}", "-<moment>"),
    (r"\.cluster-(ro-)?\w+\.[a-z0-9-]+\.rds", ".cluster-<id>.rds"),
    (r"This is [0-9a-f]+\.", "This is <hash>."),
    (r"of that hash: [0-9a-f]+", "of that hash: <hash>"),
    (r"\barn:aws:(iam|sts)::[^\s)]+", "<arn>"),
    (r"\b\d+(\.\d+)? s\b", "<seconds>"),
    (r"\b\d+ sessions\b", "<sessions>"),
]  # fmt: skip
# How a line below a field's value begins.
BELOW = " " * 19
# How the next lines of one that is broken are indented, by how it begins; as at a terminal.
INDENTED = [(BELOW, 19), (r"  \d+\. ", 5), (r"  [-!+] ", 4), (r"  \S", 19), (r" +\d+\.\d s", 18), (r"", 2)]


class Transcript:
    """What was typed, and what is kept of what was printed."""

    def __init__(self, stack):
        self.stack, self.lines = stack, []

    def shown(self, text):
        """As the page has it: the names of this test are those of a cluster in production."""
        return text.replace(self.stack.zone, ZONE).replace(PREFIX, "")

    def typed(self, command):
        self.lines += ["", *self.broken_command(f"$ {self.shown(command)}")]

    def broken_command(self, line):
        """A line that is too long is continued as in a shell."""
        return line.replace(" --", " \\\n    --").split("\n") if len(line) > WIDTH else [line]

    def printed(self, text, *kept):
        """Keeps the lines that begin with one of `kept`, and dots for each stretch of others. Without any, all are kept."""
        lines = [line.rstrip() for line in STYLE.sub("", self.shown(text)).replace("\r", "").splitlines() if line.strip()]
        is_kept = []
        for line in lines:
            # A sentence below a command belongs to it.
            is_below = is_kept and line.startswith(BELOW)
            is_kept.append(is_kept[-1] if is_below else not kept or any(re.match(start, line) for start in kept))
        for line, keep in zip(lines, is_kept, strict=True):
            if keep:
                self.lines += self.broken(line)
            elif self.lines[-1] != "  …":
                self.lines.append("  …")

    def broken(self, line):
        indent = next(width for start, width in INDENTED if re.match(start, line))
        options = {"break_long_words": False, "break_on_hyphens": False, "drop_whitespace": True}
        lead = re.match(" *", line)[0]
        return textwrap.wrap(line.lstrip(), WIDTH, initial_indent=lead, subsequent_indent=" " * indent, **options)

    @property
    def text(self):
        return "```console\n" + "\n".join(self.lines).strip("\n") + "\n```\n"


def section(text, *headings):
    """The parts of a document that begin with one of these headings, each line of the others replaced by a line that no page keeps."""
    kept, lines = False, []
    for line in text.replace("\r", "").splitlines():
        if line[:1].strip():
            kept = any(re.match(heading, line) for heading in headings)
        lines.append(line if kept else "(cut)")
    return "\n".join(lines)


def comparable(text):
    """The words, without what another run has otherwise: where a line is broken depends on how long a time is written."""
    text = text.replace("\\\n", " ")
    for volatile, instead in VOLATILE:
        text = re.sub(volatile, instead, text)
    return text.split()


def progress(text, *states):
    """The lines of these states in what a follower printed: the last one of each, for the machine may come to it twice."""
    found = {}
    for line in text.splitlines():
        if at := re.match(r" +\d+\.\d s +[\d/]* +(\w+)", line):
            found[at[1]] = line
    return "\n".join(["(cut)", *(found[state] for state in states)])


def incident(stack):
    """Loses the orders and gets them back; answers what was at the terminal."""
    terminal, transcript = Terminal(stack), Transcript(stack)
    cluster = settled_shop(stack, CLUSTER, engine=POSTGRES)
    cluster.settle(3)  # to the second before the mistake
    login = {"host": cluster.record, "user": cluster.user, "password": cluster.password}
    with contextlib.ExitStack() as applications:
        for _ in range(2):
            session = cluster.connect(host=cluster.record)
            applications.callback(session.close)
        at = cluster.engine.now(session) - datetime.timedelta(seconds=1)
        statement = "DELETE FROM orders"
        transcript.typed(f"psql -h {cluster.record} -d shop -c {shlex.quote(statement)}")
        transcript.printed(cluster.engine.program("psql", "-c", statement, cluster=cluster, database="shop", **login))

        words = ["plan", cluster.record, f"{at:%H:%M:%S}Z", "--check", CHECK]
        transcript.typed(shlex.join(["rewind", *words]))
        plan, _ = terminal.run(*words)
        transcript.printed(section(plan, "The plan"), "The plan", r"  \d+\. ")

        # As the plan prints it.
        start = re.search(r"^ +- rewind (start .*)$", plan, re.M)[1]
        transcript.typed(f"rewind {start} --detach")
        begun, _ = terminal.run(*shlex.split(start), "--detach")
        transcript.printed(begun)
        name = re.search(r"(\S+) is started", begun)[1]
        run = Started(stack, name)
        run.approval()
        stack.on_success(cluster.derived(run.item()["newCluster"]).delete)

        transcript.typed(f"rewind approve {name} the count is right")
        screen = Screen(terminal, "approve", name, "the", "count", "is", "right")
        termios.tcsetwinsize(screen.ours, (50, WIDE))
        screen.sees("of that hash:")
        screen.types(re.search(r"This is (\w+)\.", screen.seen)[1][:6] + "\n")
        screen.ends(0)
        asked = section(STYLE.sub("", screen.seen), "The rewound data", "Not carried over", "If you approve", "This is", f"{name}: approved")
        transcript.printed(asked, "The rewound", "Not carried over", r"  \+ ", "  - (?!estimates|shop:)", "  ! ", "If you approve", "This is", r".*: approved by")

        transcript.typed(f"rewind status {name} --follow")
        end, followed = terminal.run("status", name, "--follow")
        transcript.printed(progress(followed, "FenceSource", "SwapDns", "ConfirmCutover", "Finish"), r" +\d+\.\d s")
        fields = ["fence ", "not carried over", "to read it", "to undo", "checks", "outage", "of that"]
        transcript.printed(end, r"\S", *(f"  {field}" for field in fields))

    transcript.typed(f"rewind status {name}")
    status, _ = terminal.run("status", name)
    transcript.printed(status, r"\S+: Recovered", *(f"  {field}" for field in ["decision", "traffic", "fenced", "kept", "safe now"]))
    assert cluster.value("SELECT count(*) FROM orders", host=cluster.record) == 4000, "the rows by name"
    return transcript.text


def test_page_shows_the_incident_as_it_happens(stack):
    drawn = incident(stack)
    page = PAGE.read_text()
    assert page.count(BEGIN) == page.count(END) == 1, "the markers of the incident in README.md"
    before, rest = page.split(BEGIN)
    committed, after = rest.split(END)
    if os.environ.get("REWIND_DRAW"):
        PAGE.write_text(before + BEGIN + drawn + END + after)
        committed = drawn
    other = "\n".join(difflib.unified_diff(comparable(committed), comparable(drawn), "README.md", "as it happened", lineterm=""))
    assert not other, f"REWIND_DRAW=1 make e2e E2E=transcript writes it anew\n{other}\n{drawn}"
