"""Recoveries from chat, as Slack would bring them: signed requests over HTTP to the function's URL, pressed buttons."""

import json
import time

from checks import contains, wait_until
from cluster import Cluster
from recovery import APPROVED, CONCLUDE, Started
from stages import ASK, COMPARE, DECIDED, REJECTED, REWIND, START
from shop import settled_shop
from slack import ANN, BEN, CLEO, DAN, NOT_IN_ANY_LIST, Slack, buttons, words


def recovery_named_in(text):
    """The recovery's name in a sentence that says it is started."""
    return text.split(" is started")[0].splitlines()[-1].strip("* ")


def test_recovery_and_its_undo_from_chat(stack):
    slack = Slack(stack)
    cluster = settled_shop(stack, "e2e-chat")
    target = cluster.mistake("DELETE FROM orders")
    check = "[orders are back] shop: SELECT count(*) FROM orders => 4000"
    # The cluster behind the name, and its record with it.
    asked = f"{cluster.record} {target.isoformat()}"
    asked += f' --check "{check}" --new-cluster {cluster.name}-r'
    plan = slack.says(CLEO, asked)
    if "planning" in plan.text:
        plan = plan.later()
    assert plan.private, "a plan is for the one who asked"
    contains(plan.text, f"The plan: {cluster.name} back to", f"fence {cluster.name}", f"move {cluster.record}")
    assert stack.describe(f"{cluster.name}-r") is None, "what a plan made"

    begun = slack.presses(CLEO, plan.button("Start it"))
    assert not begun.private, "what was begun is for all"
    contains(begun.text, "is started", f"by: cleo ({CLEO} in Slack workspace")
    run = Started(stack, recovery_named_in(begun.text))
    assert run.request["dryRun"] is False, "a dry run that was started"
    # Pressed again, by somebody in a hurry, it is the same one.
    contains(slack.presses(CLEO, plan.button("Start it")).text, f"{run.id} had been started before")

    question = slack.channel(f"{run.id} waits for a decision")
    contains(words(question), "orders are back", "if you approve: ", "it stays on the source, fenced", "hash: ")
    assert run.approval()["taskToken"] not in json.dumps(question), "a task token was shown in the channel"
    yes = next(b for b in buttons(question) if b["text"]["text"] == "Approve")
    # Whoever has the webhook can post such buttons as the app.
    for forged in [{"value": yes["value"].replace(run.id, f"{run.id}x")}, {"text": yes["text"] | {"text": "Reject"}}]:
        contains(slack.presses(BEN, yes | forged).text, "this button was not made by this app", "nothing was done")
    contains(slack.presses(CLEO, yes).text, "you started this recovery, so somebody else has to approve it")
    contains(slack.presses(ANN, yes).text, "you may look, and not decide")
    assert slack.presses(DAN, yes).text == NOT_IN_ANY_LIST, "what a stranger is told"
    assert run.item()["state"] == "AwaitingApproval", "the state after those who may not"
    contains(slack.says(ANN, f"status {run.id}").text, f"{run.id}: AwaitingApproval", "decide until", "/rewind approve")
    contains(slack.says(ANN, f"status {run.id}").text, f"traffic: {cluster.name}", f"/rewind cancel {run.id}")
    shown = slack.says(BEN, f"approve {run.id} the count is right")
    said = slack.presses(BEN, shown.button("Approve"))
    contains(said.text, f"{run.id}: approved by ben ({BEN}")

    run.recovered(APPROVED)
    decision = json.loads(run.item()["decision"])
    assert (decision["comment"], decision["decision"]) == ("the count is right", "approved"), "the decision in the table"
    contains(decision["by"], "ben", BEN)
    assert cluster.value("SELECT count(*) FROM orders", host=cluster.record) == 4000, "the rows by name"
    stands = f"traffic: {cluster.name}-r; fenced: {cluster.name}; kept: {cluster.name} until"
    contains(words(slack.channel(f"{run.id}: Recovered")), "not carried over: ", stands, f"/rewind undo {run.id}")
    contains(slack.says(ANN, f"list {cluster.name}").text, run.id, "Recovered", stands, f"/rewind undo {run.id}")
    contains(slack.says(ANN, f"status {run.id}").text, stands)

    way_back = slack.says(BEN, f"undo {run.id}")
    contains(way_back.text, f"The undo of {run.id}", f"move {cluster.record}", f"traffic: {cluster.name}-r; fenced: {cluster.name}")
    contains(slack.says(ANN, f"undo {run.id} --confirm {cluster.name}").text, "you may look, and not decide")
    contains(slack.presses(BEN, way_back.button("Undo it")).text, f"{run.id}-undo is started")
    undone = lambda: run.item().get("state") == "Undone"
    wait_until(undone, f"the end of taking {run.id} back")
    assert stack.records()[cluster.record][0] == cluster.endpoint, "the record"
    contains(slack.says(ANN, f"status {run.id}").text, f"{run.id}: Undone", "undone: at", "ben", f"traffic: {cluster.name}; fenced: {cluster.name}-r")
    contains(slack.says(BEN, f"undo {run.id}").text, "it is undone already")


def test_typed_recovery_is_rejected_by_who_started_it(stack):
    slack = Slack(stack)
    cluster = settled_shop(stack, "e2e-chat-no")
    name, record = f"e2e-chat-no-{time.time_ns()}", f"{stack.zone}:{cluster.record}"
    begun = slack.says(CLEO, f"start {cluster.name} 1s ago --dns {record} --name {name} --new-cluster {cluster.name}-r")
    contains(begun.text, f"{name} is started")
    run = Started(stack, name)
    slack.channel(f"{name} waits for a decision")
    hash = run.approval()["hash"]
    for person, text, said in [
        (ANN, f"reject {name}", "you may look, and not decide"),
        (BEN, f"approve {name} --hash 0123456789", "is not the hash of what"),
        (BEN, f"approve {name} --hash {hash[:3]}", "too short for a hash"),
    ]:
        answer = slack.says(person, text)
        contains((answer.later() if "sending" in answer.text else answer).text, said)
    answer = slack.says(CLEO, f"reject {name} it's not a good time --hash {hash[:8]}").later()
    contains(answer.text, f"{name}: rejected by cleo")
    path = START + REWIND + COMPARE + ASK + ["IsApprovalToConfirm", *DECIDED] + REJECTED + CONCLUDE
    run.failed(path, "NotApproved", "cleo", "rejected it: it's not a good time", "no traffic was moved")
    contains(words(slack.channel(f"{name}: NothingChanged")), "rejected it: it's not a good time")


def test_answers_are_private_unless_something_changed(stack):
    slack = Slack(stack)
    cluster = Cluster.create(stack, "e2e-chat-words", record=False)
    for text, *said in [
        ("", "/rewind my-aurora-cluster 5m ago", "approve", "undo"),
        ("help", "window", "reject"),
        ("help start", "--check", "--keep-source"),
        ("list", ""),
        ("status no-such-recovery", "there is no recovery no-such-recovery"),
        ("start e2e-chat-words soon", '`to` is "soon"', "nothing was"),
        ("start e2e-chat-words latest --colour red", "--colour"),
        ("approve 'open", "a quote is opened and not closed"),
        ("approve no-such-recovery", "there is no recovery no-such-recovery"),
        ("undo no-such-recovery", "there is no recovery no-such-recovery"),
    ]:
        answer = slack.says(CLEO, text)
        contains(answer.text, *said)
        assert answer.private, f"{text} was told to all"
    refusal = slack.says(ANN, f"{cluster.name} 30d ago")
    refusal = refusal.later() if "planning" in refusal.text else refusal
    contains(refusal.text, "is before the earliest restorable time")
    assert buttons(refusal.message) == [], "buttons under a plan that was refused"
    told = slack.says(ANN, f"window {cluster.name}").later()
    contains(told.text, f"{cluster.name} (aurora-postgresql) has a window of 1d", "reach")
    assert told.private, "a look at a window was told to all"
    contains(slack.says(ANN, f"window {cluster.name} 7d").text, "you may look, and not decide")
    told = slack.says(BEN, f"window {cluster.name} 2d").later()
    contains(told.text, "now has a window of 2d")
    assert not told.private, "a window was set, and not all were told"
    assert cluster.describe()["BackupRetentionPeriod"] == 2, "the retention"
    contains(slack.says(BEN, f"window {cluster.name} 1440").later().text, "1440 seconds is 24 minutes", "nothing was")
    later = stack.client("lambda").get_function_event_invoke_config(
        FunctionName=stack.outputs["ChatopsFunctionName"], Qualifier="$LATEST"
    )
    assert later["MaximumRetryAttempts"] == 0, "how often Lambda repeats work that was handed over"
    assert not [m for m in slack.received("/channel") if cluster.name in words(m)], "the channel was told of a refused plan"
