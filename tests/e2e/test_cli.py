"""The command line, as a person and as a script use it: the real `rewind`, with what stack.env says, nothing else."""

import contextlib
import json
import os
import pathlib
import pty
import select
import subprocess
import time
from datetime import UTC, datetime

from checks import contains, wait_until
from cluster import Cluster, iso
from recovery import APPROVED, CONCLUDE, WITHOUT_APPROVAL, Started
from stages import ASK, COMPARE, DECIDED, REJECTED, REWIND, START
from shop import settled_shop
from stack import ROOT

BUILT = pathlib.Path(
    os.environ.get("REWIND_BINARIES") or f"{os.environ.get('CARGO_TARGET_DIR') or ROOT / 'target'}/debug"
)


class Terminal:
    """A shell in which stack.env was read."""

    def __init__(self, stack):
        if not (BUILT / "rewind").exists():
            raise AssertionError(
                f"there is no rewind in {BUILT}; next step: cargo build --locked -p rewind-cli, or say where by REWIND_BINARIES"
            )
        # Nothing of whoever runs the tests: neither credentials nor where else a state machine may be.
        self.env = stack.env | {"PATH": f"{BUILT}:/usr/bin:/bin", "HOME": "/nonexistent", "USER": "ann"}

    def begin(self, *words, before=(), **more):
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | more
        return subprocess.Popen([*before, "rewind", *words], env=self.env, text=True, **pipes)

    def run(self, *words, code=0, timeout=120, text=None):
        """Runs a command to its end; answers what it wrote to standard output and to standard error."""
        command = self.begin(*words, stdin=subprocess.PIPE if text else subprocess.DEVNULL)
        out, err = command.communicate(text, timeout)
        assert command.returncode == code, f"the exit code of rewind {' '.join(words)}\n{out}{err}"
        return out, err

    def json(self, *words, code=0, **more):
        """The one document that a script reads. Nothing else is on standard output."""
        out, _ = self.run("--json", *words, code=code, **more)
        assert len(out.splitlines()) == 1, f"the lines of {out!r}"
        return json.loads(out)


class Screen:
    """A command at a terminal of its own, which a person reads and types into."""

    def __init__(self, terminal, *words):
        self.ours, theirs = pty.openpty()
        # In a session of its own: only then is Ctrl-C a signal to it.
        own = ("setsid", "--ctty")
        self.command = terminal.begin(*words, before=own, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        self.seen = ""

    def sees(self, *said, timeout=60):
        deadline = time.monotonic() + timeout
        while not all(part in self.seen for part in said):
            if time.monotonic() > deadline:
                raise AssertionError(f"it shows {self.seen!r}\nwithout {said} for {timeout} s")
            if select.select([self.ours], [], [], 0.2)[0]:
                try:
                    self.seen += os.read(self.ours, 65536).decode(errors="replace")
                except OSError:  # the command has ended
                    raise AssertionError(f"it ended after {self.seen!r}\nwithout {said}") from None

    def sees_one_of(self, *said, timeout=60):
        """Reads until one of these is there; answers which one, or None if the command has ended without."""
        deadline = time.monotonic() + timeout
        while not (seen := [part for part in said if part in self.seen]):
            assert time.monotonic() < deadline, f"it shows {self.seen!r}\nwithout one of {said} for {timeout} s"
            if select.select([self.ours], [], [], 0.2)[0]:
                try:
                    self.seen += os.read(self.ours, 65536).decode(errors="replace")
                except OSError:  # the command has ended
                    return None
            elif self.command.poll() is not None:
                return None
        return seen[0]

    def types(self, text):
        os.write(self.ours, text.encode())

    def ends(self, *codes, timeout=60):
        """Reads to its end, which has one of these exit codes; answers which one."""
        with contextlib.suppress(OSError):
            while self.command.poll() is None or select.select([self.ours], [], [], 0)[0]:
                if select.select([self.ours], [], [], 0.2)[0]:
                    self.seen += os.read(self.ours, 65536).decode(errors="replace")
        code = self.command.wait(timeout)
        assert code in codes, f"the exit code {code} after {self.seen!r}"
        os.close(self.ours)
        return code


def test_recovery_and_its_undo_at_a_terminal(stack):
    terminal = Terminal(stack)
    cluster = settled_shop(stack, "e2e-cli")
    target = cluster.mistake("DELETE FROM orders")
    name, new = f"e2e-cli-{time.time_ns()}", f"{cluster.name}-r"
    words = [cluster.name, iso(target), "--dns", f"{stack.zone}:{cluster.record}", "--new-cluster", new]
    words += ["--check", "[orders are back] shop: SELECT count(*) FROM orders => 4000"]
    out, _ = terminal.run("plan", *words)
    contains(out, f"The plan: {cluster.name} back to", f"fence {cluster.name}", f"move {cluster.record} from")
    plan = terminal.json("plan", *words)
    assert (plan["outcome"], plan["plan"]["newCluster"], plan["plan"]["dryRun"]) == ("Planned", new, True), "the plan"
    assert stack.describe(new) is None, "what a plan made"

    screen = Screen(terminal, "start", *words, "--name", name)
    screen.sees(f"{name} is started", "waits for RDS")
    screen.types("\x03")  # Ctrl-C
    screen.sees("goes on", "nothing was stopped", f"rewind status {name} --follow")
    screen.ends(130)
    run = Started(stack, name)
    assert run.describe()["status"] == "RUNNING", "the recovery whose follower has left"
    # Started again by the same name with the same request, it is the same one.
    assert terminal.json("start", *words, "--name", name, "--detach")["startedBefore"] is True, (
        "whether it was started before"
    )
    follower = terminal.begin("--json", "status", name, "--follow")

    asked = run.approval()
    out, _ = terminal.run("status", name)
    contains(out, f"{name}: AwaitingApproval", "decide until", asked["hash"])
    stands = terminal.json("status", name)
    assert (stands["id"], stands["state"], stands["approval"]["hash"]) == (name, "AwaitingApproval", asked["hash"]), (
        "status"
    )
    assert asked["taskToken"] not in json.dumps(stands), "a task token is shown"
    refusal = terminal.json("approve", name, code=5)
    contains(refusal["message"], "there is nobody to ask", "--hash")
    refusal = terminal.json("approve", name, "--hash", "0123456789", code=5)
    contains(refusal["message"], "is not the hash of what", "nothing was decided")
    screen = Screen(terminal, "approve", name, "the", "count", "is", "right")
    screen.sees("If you approve:", "it stays on the source, fenced", "orders are back", "type the first 6 characters")
    screen.types(asked["hash"][:6] + "\n")
    screen.sees(f"{name}: approved by ann (arn:aws:")
    screen.ends(0)

    run.recovered(APPROVED)
    out, err = follower.communicate(timeout=30)
    assert follower.returncode == 0, f"the follower's exit code: {err}"
    output = json.loads(out)
    assert (output["outcome"], output["newCluster"], output["recoveryId"]) == ("Recovered", new, name), (
        "what the follower tells"
    )
    stands = output["standing"]
    assert stands["traffic"] == [f"{cluster.record} leads to {new}"], "where the traffic is after the end"
    assert (stands["fenced"], stands["outage"], stands["unseen"]) == ([cluster.name], None, []), "what is fenced after the end"
    safe = [f"rewind undo {name}", f"rewind open {name} --from <your address>"]
    assert [one["command"] for one in stands["commands"]] == safe, "what is safe after the end"
    decision = json.loads(run.item()["decision"])
    assert decision["comment"] == "the count is right", "the comment"
    contains(decision["by"], "ann (arn:aws:")
    assert cluster.value("SELECT count(*) FROM orders", host=cluster.record) == 4000, "the rows by name"
    out, _ = terminal.run("list", cluster.name)
    contains(out, name, "Recovered", f"traffic: {new}; fenced: {cluster.name}; kept: {cluster.name} until", f"  safe now         rewind undo {name}\n")
    latest = terminal.json("list", cluster.name)[0]
    assert (latest["id"], latest["state"]) == (name, "Recovered"), "the latest of the list"
    assert latest["standing"]["traffic"] == stands["traffic"], "where the traffic is by the list"

    refusal = terminal.json("undo", name, code=5)
    contains(refusal["message"], "nothing was changed", f"--confirm {cluster.name}")
    out, err = terminal.run("undo", name, "--confirm", cluster.name)
    contains(err, f"{name}-undo is started", "ends writes on the restored cluster", "moves the records back")
    contains(out, "Undone", f"{cluster.record} points at {cluster.endpoint}")
    # After an undo the clusters of what it undid are looked at.
    contains(out.split("How the clusters stand now:")[1], f"{cluster.record} leads to {cluster.name}", f"rewind status {name}")
    assert stack.records()[cluster.record][0] == cluster.endpoint, "the record"
    assert terminal.json("status", name)["state"] == "Undone", "the state"
    contains(terminal.json("undo", name, "--confirm", cluster.name, code=5)["message"], "it is undone already")


def test_recovery_by_a_script(stack):
    terminal = Terminal(stack)
    cluster = settled_shop(stack, "e2e-script")
    name, new = f"e2e-script-{time.time_ns()}", f"{cluster.name}-r"
    request = {"cluster": "another", "to": "1s ago", "dns": cluster.dns(), "newCluster": new, "approvalTimeout": "5m"}
    words = ["start", cluster.name, "--request", "-", "--name", name]
    begun = terminal.json(*words, "--detach", text=json.dumps(request))
    run = Started(stack, name)
    assert (begun["executionArn"], run.request["cluster"]) == (run.arn, cluster.name), "what was started, of words and file"
    follower = terminal.begin("status", name, "--follow")
    said = terminal.json("start", cluster.name, "latest", "--name", name, code=5)
    contains(said["message"], f"there is an execution {name} with another request", "nothing was started")
    hash = run.approval()["hash"]
    # A person is asked before a restored cluster goes, and is told how to keep it.
    screen = Screen(terminal, "reject", name, "not", "today")
    screen.sees(f"{new} is deleted if nobody uses it", f"rewind cancel {name}", f"type the restored cluster's name, {new}:")
    screen.types("\n")
    screen.ends(5)
    contains(screen.seen, "nothing was decided")
    assert (run.describe()["status"], run.approval()["hash"]) == ("RUNNING", hash), "what a question decides that nobody has answered"
    said = terminal.json("reject", name, "not", "today")
    assert (said["decision"], said["hash"]) == ("rejected", hash), "what reject answers"
    path = START + REWIND + COMPARE + ASK + ["IsApprovalToConfirm", *DECIDED] + REJECTED + CONCLUDE
    run.failed(path, "NotApproved", "rejected it: not today")
    out, err = follower.communicate(timeout=30)
    assert follower.returncode == 3, f"the follower's exit code: {out}{err}"
    contains(out + err, "ended in NothingChanged", "clients are where they were", "not today", "AwaitRewind")
    contains(out.split("How the clusters stand now:")[1], f"{cluster.record} leads to {cluster.name}")
    # A rejection deletes the restored cluster, and nothing is fenced.
    assert "standing" not in terminal.json("list", cluster.name)[0], "what a rejected recovery has left"
    refusal = terminal.json("undo", name, "--confirm", cluster.name, code=5)
    contains(refusal["message"], "it ended in NothingChanged", "was not touched")

    unattended = terminal.json("start", cluster.name, "1s ago", "--new-cluster", new, "--approval", "none",
                               "--unverified", "--dns", f"{stack.zone}:{cluster.record}")  # fmt: skip
    assert unattended["outcome"] == "Recovered", "how the one that was followed to its end has ended"
    Started(stack, unattended["recoveryId"]).recovered(WITHOUT_APPROVAL)


def test_what_a_failed_recovery_kept_is_listed_and_removed_by_the_clean_up(stack):
    terminal = Terminal(stack)
    cluster = settled_shop(stack, "e2e-cli-kept")
    name, new = f"e2e-cli-kept-{time.time_ns()}", f"{cluster.name}-r"
    words = ["start", cluster.name, "1s ago", "--name", name, "--new-cluster", new, "--dns", f"{stack.zone}:{cluster.record}"]
    terminal.run(*words, "--check", "[orders are gone] shop: SELECT count(*) FROM orders => 0", code=3, timeout=300)
    assert stack.describe(new), "a failed check deletes nothing"

    def kept(of):
        inventory = terminal.json("clusters")
        # Clusters of other tests may be of classes that the local price list has not.
        unseen = [one for one in inventory["unseen"] if not one.startswith("the list price of db.")]
        assert unseen == [], "what could not be seen"
        return next((found for found in inventory["clusters"] if found["cluster"] == of), None)

    found = kept(new)
    assert (found["role"], found["recoveryId"], found["usedBy"]) == ("restored", name, []), "whose it is and who uses it"
    assert found["removal"] == {"by": "cleanUp", "commands": [f"rewind clusters --remove {new}"], "why": []}, "its removal"
    classes = [instance["DBInstanceClass"] for instance in stack.instances(new)]
    assert {one["class"]: one["count"] for one in found["instances"]} == {of: classes.count(of) for of in classes}, "its instances"
    # At the list prices of the local AWS, and by the connections that the databases really have.
    with cluster.connect(host=stack.describe(new)["Endpoint"]):
        metered = kept(new)["metered"]
    assert metered["isWhole"] and metered["usdADay"] >= round(24 * 0.26 * len(classes), 2), metered
    assert metered["connections"]["now"] >= 1 <= metered["connections"]["mostInADay"], metered
    out, _ = terminal.run("clusters")
    contains(out, f"{new} (available)", f"restored from {cluster.name} by recovery {name}, which ended in NothingChanged")
    contains(out, "day and night", f"nobody by name: {cluster.record} leads elsewhere", f"rewind clusters --remove {new}", "Connections are as CloudWatch has measured")
    contains(out, f"costs            {metered['cost']}", "All clusters together cost USD", "at most in the last 24 hours")
    assert kept(cluster.name) is None, "a source that was never fenced is no recovery's"

    # Each time nothing is changed: neither the tag, nor is anything started.
    until = found["keepUntil"]
    contains(terminal.json("clusters", "--remove", new, code=5)["message"], f"--confirm {new}", "nothing was changed")
    contains(terminal.json("clusters", "--remove", cluster.name, code=5)["message"], "bears the tag of a recovery")
    with leased(stack, cluster.name):
        refusal = terminal.json("clusters", "--remove", new, "--confirm", new, code=5)
        contains(refusal["message"], f"somebody holds {cluster.name} until", "nothing was changed")
    stack.change_record("UPSERT", cluster.record, stack.describe(new)["Endpoint"])
    refusal = terminal.json("clusters", "--remove", new, "--confirm", new, code=5)
    contains(refusal["message"], f"it has traffic: {cluster.record} leads to it")
    stack.change_record("UPSERT", cluster.record, cluster.endpoint)
    assert kept(new)["keepUntil"] == until, "the time after refusals"

    with stack.exclusive("clean-up"):
        screen = Screen(terminal, "clusters", "--remove", new)
        screen.sees(f"The removal of {new}", "start the clean-up", f"type the cluster's name, {new}:")
        screen.types(f"{new}\n")
        screen.sees(f"the removal of {new} has begun", "aws stepfunctions describe-execution", f"Value={until}")
        screen.ends(0)
        wait_until(lambda: stack.describe(new) is None, "the deletion by the clean-up", timeout=300)
        wait_until(lambda: terminal.json("clusters")["snapshots"], "the final snapshot")
    found = next(one for one in terminal.json("clusters")["snapshots"] if one["cluster"] == new)
    assert found["remove"].endswith(f" --db-cluster-snapshot-identifier {found['snapshot']}"), "how it is removed"
    stack.on_success(lambda: stack.rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=found["snapshot"]))
    contains(terminal.json("clusters", "--remove", found["snapshot"], code=5)["message"], "may be the last copy")
    assert cluster.value("SELECT count(*) FROM orders", host=cluster.record) == 4000, "the source, which nothing touched"


@contextlib.contextmanager
def leased(stack, cluster):
    """Somebody works on the cluster meanwhile."""
    now = datetime.now(UTC)
    until = {"takenAt": {"S": iso(now)}, "expiresAt": {"N": str(int(now.timestamp()) + 60)}}
    lease = {"id": {"S": f"lease#{cluster}"}, "recoveryId": {"S": "somebody"}, "executionArn": {"S": "arn:of:it"}} | until
    stack.client("dynamodb").put_item(TableName=stack.table, Item=lease)
    yield
    stack.client("dynamodb").delete_item(TableName=stack.table, Key={"id": lease["id"]})


def test_windows_completions_and_errors(stack):
    terminal = Terminal(stack)
    cluster = Cluster.create(stack, "e2e-cli-told", record=False)
    window = terminal.json("window", cluster.name)
    assert (window["kind"], window["targetWindow"], window["changed"]) == ("backupRetention", "1d", False), "the window"
    contains(terminal.run("window", cluster.name, "2d")[0], "now has a window of 2d")
    contains(terminal.json("window", cluster.name, "1440", code=5)["message"], "1440 seconds is 24 minutes")
    with leased(stack, cluster.name):
        contains(terminal.json("window", cluster.name, "1d", code=5)["message"], "somebody works on", "LeaseHeld")
    cluster.wait_available()  # from the change before
    contains(terminal.run("window", cluster.name, "1d")[0], "now has a window of 1d")
    contains(terminal.json("plan", cluster.name, "30d ago", code=3)["cause"], "is before the earliest restorable time")
    for words, code, said in [
        (["plan", cluster.name, "soon"], 5, '`to` is "soon"'),
        (["status", "no-such-recovery"], 5, "there is no recovery no-such-recovery"),
        (["start", "--request", "/nonexistent"], 2, "/nonexistent could not be read"),
        (["start", cluster.name, "latest", "--colour", "red"], 2, "--colour"),
        (["approve"], 2, "<ID>"),
        (
            ["--region", "nowhere", "--state-machine-arn", "arn:aws:states:x:0:stateMachine:none", "list"],
            1,
            "AWS answered StateMachineDoesNotExist",
        ),
    ]:
        out, err = terminal.run(*words, code=code)
        contains(out + err, said)
    for shell, mark in [("bash", "_rewind()"), ("zsh", "#compdef rewind"), ("fish", "complete -c rewind")]:
        contains(terminal.run("completions", shell)[0], mark)
    script = """source <(rewind completions bash)
        COMP_WORDS=(rewind appr) COMP_CWORD=1
        _rewind rewind appr rewind
        echo "${COMPREPLY[@]}" """
    done = subprocess.run(["bash", "-c", script], env=terminal.env, capture_output=True, text=True)
    assert done.stdout.strip() == "approve", f"what bash completes appr to: {done.stderr}"
    bare = {name: value for name, value in terminal.env.items() if "STATE_MACHINE" not in name}
    # By the only stack that there is, and by none of another name.
    done = subprocess.run(["rewind", "list"], env=bare, capture_output=True, text=True)
    assert done.returncode == 0, f"the only stack is not found: {done.stderr}"
    done = subprocess.run(["rewind", "list", "--stack", "nobodys"], env=bare, capture_output=True, text=True)
    assert done.returncode == 2, "the exit code without a stack"
    contains(done.stderr, "no stack nobodys", "set STATE_MACHINE_ARN", "stack.env")
