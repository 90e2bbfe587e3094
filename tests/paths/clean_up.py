"""The paths of deleting what recoveries kept: what is deleted, what stays and is told of once a day, each step and each native
state failing in turn. Nothing is ever deleted behind a check that did not say yes.
"""

import json
import unicodedata

from execution import execute, problems_of_counts, problems_of_end
from scenario import CLEAN_UP, CLEAN_UP_DISABLED, CLEAN_UP_WITHOUT_TIMEOUTS, PASSING, Scenario, always, passing, slug
from stages import PAYLOADS

FIND = ["Begin", "FindDue", "IsAnyDue"]
CHECK = ["FindRecords", "CheckUnused", "IsUnused"]
CALL = ["FindRecordsAgain", "CleanUp"]
DELETE = [*CALL, "IsDeleted"]
TELL = ["SendNotice", "IsAnyDue"]
KEPT = [*CHECK, "RecordNotice", *TELL]
DELETED = [*CHECK, *DELETE, *TELL]
FAILED = ["ConcludeFailed", "RecordNotice", *TELL]
GONE = {"done": True, "status": "it is gone, its data is in the snapshot final", "snapshot": "final"}
# Of a user, or of a database.
HOSTILE = ["in use: x\nnext step: do as I say\u2028\x1b[2J", "in use: \u3164\u200b"]
USED = {"unused": False, "why": ["in use: app in shop (process 7) on orders-1", "the CNAME record db.example.com points at it"]}


def due(recovery, count):
    """What is due: sources and safety clone in turn."""
    return [
        {
            "cluster": f"kept-{n}-of-{recovery}",
            "clusterArn": f"arn:aws:rds:us-east-1:000000000000:cluster:kept-{n}-of-{recovery}",
            "recoveryId": f"{recovery}-{n}",
            "keepUntil": "2026-11-30T10:40:00Z",
            "kind": "safetyClone" if n % 2 == 0 else "source",
        }
        for n in range(1, count + 1)
    ]


def run(deployment, notifications, scenario):
    """Runs the clean-up of what recoveries kept, once or twice; answers what is wrong."""
    recovery, runs = slug(scenario.name), []
    for again in [False, True][: 1 if scenario.request["again"] is None else 2]:
        name = f"{recovery}-again"[-80:] if again else recovery
        (deployment.scripts / f"{name}.json").write_text(script(scenario, recovery, again))
        ended = execute(deployment, scenario, name, asked_for(scenario, recovery))
        runs.append((ended["executionArn"], deployment.calls_of(name)))
    about = f"of-{recovery}" if scenario.request["due"] else "nothing was cleaned up"
    return [
        *problems_of_end(deployment, scenario, ended),
        *problems_of_counts(scenario, [call["call"] for _, calls in runs for call in calls]),
        *problems_of_runs(scenario, recovery, runs, notifications.about(about)),
    ]


def asked_for(scenario, recovery):
    """The input of a run: the first cluster that is due, where its removal is asked for."""
    return {"cluster": due(recovery, 1)[0]["cluster"], "by": "ann"} if scenario.request["asked"] else {}


def problems_of_runs(scenario, recovery, runs, told):
    """Compares the calls of each run, and what people were told: `told` holds subject and text."""
    found = due(recovery, scenario.request["due"])
    for execution, calls in runs:
        looks = 0
        for call in calls:
            payload, asked = dict(call["payload"]), call["call"]
            if set(payload) != PAYLOADS[asked] or payload.pop("executionArn") != execution:
                yield f"{asked} got {call['payload']}"
            payload.pop("what", None)
            if asked == "FindRecords":
                looks += 1
                if payload not in [{name: item[name] for name in ["cluster", "recoveryId"]} for item in found]:
                    yield f"{asked} was of {payload}, which was not found"
            elif asked == "FindDue":
                if payload != {"cluster": asked_for(scenario, recovery).get("cluster")}:
                    yield f"{asked} was of {payload}"
            else:
                seen = payload.pop("records")
                if seen != {"lookedAt": f"2026-11-30T10:41:{looks - 1:02}Z", "why": []}:
                    yield f"{asked} was passed {seen} after {looks} looks at records"
                if payload not in found:
                    yield f"{asked} was of {payload}, which was not found"
    subjects = [subject for subject, _ in told]
    expected = [f"aurora-rewind: {subject.format(*[item['cluster'] for item in found])}"[:95] for subject in scenario.request["told"]]
    if subjects != expected:
        yield f"people were told {subjects}, expected {expected}"
    text = "\n".join(text for _, text in told)
    for said in scenario.request["said"]:
        if said not in text:
            yield f"people were not told {said!r}: {text}"
    for said in scenario.request["unsaid"]:
        if said in text:
            yield f"people were told {said!r}: {text}"
    if any(unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") for _, each in told for c in each):
        yield f"people were told what hides: {text!r}"
    if '"errorMessage"' in text:
        yield f"people were told something raw: {text}"


def scenario(name, path, *rest, due=1, told=(), said=(), unsaid=(), script=None, again=None, asked=False, machine=CLEAN_UP, **more):
    """`again`: what is different in a second run; the path is the last run's. `asked`: somebody has asked for the removal of one."""
    request = {"due": due, "told": list(told), "said": list(said), "unsaid": list(unsaid), "again": again, "asked": asked}
    return Scenario(f"clean-up: {name}", path, *rest, script=script, request=request, machine=machine, **more)


def scenarios():
    return [*ways(), *failing(), *native()]


def ways():
    yield scenario("nothing is due", [*FIND, "CleanedUp"], due=0, calls={"CheckUnused": 0, "CleanUp": 0})
    yield scenario(
        "what nobody uses is deleted, and people are told where it is",
        [*FIND, *DELETED, "CleanedUp"],
        told=["deleted: {0}"],
        said=["(the source of recovery clean-up--what-nobody-uses", "--snapshot-identifier final", "kept until 2026-11-30T10:40:00Z"],
        calls={"CleanUp": 1},
    )
    yield scenario(
        "what somebody uses stays, and people are told why and what to do",
        [*FIND, *KEPT, "CleanedUp"],
        told=["kept: {0}"],
        said=[*USED["why"], "--tags Key=aurora-rewind:keep-until,Value=", "--tag-keys aurora-rewind:keep-until", "nothing was changed", "deleted within the hour", "every hour"],
        script={"CheckUnused": [{"answer": USED}]},
        calls={"CleanUp": 0},
    )
    yield scenario(
        "what others named stays on its line",
        [*FIND, *KEPT, *KEPT, *CHECK, *CALL, *FAILED, "NotCleanedUp"],
        "RewindFailed",
        due=3,
        told=["kept: {0}", "kept: {1}", "not cleaned up: {2}"],
        said=["in use: x?next step: do as I say??[2J", "it is named ?x"],
        script={
            "CheckUnused": [{"answer": {"unused": False, "why": [name]}} for name in HOSTILE],
            "CleanUp": always("RewindFailed", "it is named \u202ex"),
        },
    )
    yield scenario(
        "people are told once a day",
        [*FIND, *CHECK, "RecordNotice", "IsAnyDue", "CleanedUp"],
        told=["kept: {0}"],
        script={"CheckUnused": [{"answer": USED}]},
        again={},
        calls={"CleanUp": 0},
    )
    yield scenario(
        "whoever asks for a removal twice is told twice why it stays",
        [*FIND, *KEPT, "CleanedUp"],
        told=["kept: {0}", "kept: {0}"],
        said=USED["why"],
        script={"CheckUnused": [{"answer": USED}]},
        again={},
        asked=True,
        calls={"CleanUp": 0},
    )
    yield scenario(
        "whoever asks for the removal of what a recovery works on is told so",
        [*FIND, *CHECK, *CALL, "IsAskedFor", "RecordNotice", *TELL, "CleanedUp"],
        told=["kept: {0}"],
        said=["was to be removed, and stays for now: a recovery, an undo or another clean-up works on it", "remove it again"],
        script={"CleanUp": [{"error": ["LeaseHeld", "a recovery works on it"]}]},
        asked=True,
        calls={"CleanUp": 1},
    )
    yield scenario(
        "where the clean-up is off nobody is promised another run",
        [*FIND, *KEPT, "CleanedUp"],
        told=["kept: {0}"],
        said=["remove it again: rewind clusters --remove kept-1-of-clean-up--where", "CleanUp of the stack is DISABLED"],
        script={"CheckUnused": [{"answer": USED}]},
        asked=True,
        machine=CLEAN_UP_DISABLED,
        calls={"CleanUp": 0},
    )
    yield scenario(
        "where the clean-up is off a removal that has to wait is not left to it",
        [*FIND, *CHECK, *CALL, "IsAskedFor", "RecordNotice", *TELL, "CleanedUp"],
        told=["kept: {0}"],
        said=["wait for that to end, and remove it again"],
        unsaid=["hour"],
        script={"CleanUp": [{"error": ["LeaseHeld", "a recovery works on it"]}]},
        asked=True,
        machine=CLEAN_UP_DISABLED,
        calls={"CleanUp": 1},
    )
    yield scenario(
        "a failure is told on a day on which something else was told",
        [*FIND, *CHECK, *CALL, *FAILED, "NotCleanedUp"],
        "Bug",
        told=["kept: {0}", "not cleaned up: {0}"],
        script={"CheckUnused": [{"answer": USED}]},
        again={"CheckUnused": [], "CleanUp": always("Bug")},
    )
    for n, answer in enumerate([{"unused": "true"}, {"unused": None, "why": []}, {"why": ["odd"]}]):
        yield scenario(
            f"anything but yes is a no, {n}",
            [*FIND, *KEPT, "CleanedUp"],
            told=["kept: {0}"],
            said=["odd" if n == 2 else "it is not certain that nobody uses it"],
            script={"CheckUnused": [{"answer": answer}]},
            calls={"CleanUp": 0},
        )
    yield scenario(
        "several are looked at one after another, each by itself",
        [*FIND, *KEPT, *DELETED, *CHECK, *CALL, "IsAskedFor", "IsAnyDue", *DELETED, "CleanedUp"],
        due=4,
        told=["kept: {0}", "deleted: {1}", "deleted: {3}"],
        said=["(the safety clone of recovery"],
        script={
            "CheckUnused": [{"answer": USED}],
            "CleanUp": [{"answer": GONE}, {"error": ["LeaseHeld", "a recovery works on it"]}],
        },
        calls={"CheckUnused": 4, "CleanUp": 3},
    )
    yield scenario(
        "a deletion takes several calls",
        [*FIND, *CHECK, *DELETE, *DELETE, *DELETE, *TELL, "CleanedUp"],
        told=["deleted: {0}"],
        script={"CleanUp": [{"answer": {"done": False, "status": "orders-1 is deleting", "snapshot": "final"}}] * 2},
        calls={"FindRecords": 4, "CheckUnused": 1, "CleanUp": 3},
    )
    yield scenario(
        "a deletion that takes too long is told, and found again",
        [*FIND, *CHECK, *DELETE, *FAILED, "NotCleanedUp"],
        "Unavailable",
        told=["not cleaned up: {0}"],
        said=["was still being deleted after 2 hours: orders-1 is deleting [Unavailable in CleanUp]"],
        script={"CleanUp": [{"answer": {"done": False, "status": "orders-1 is deleting"}}]},
        machine=CLEAN_UP_WITHOUT_TIMEOUTS,
    )
    yield scenario(
        "what somebody else deleted has no snapshot to name",
        [*FIND, *DELETED, "CleanedUp"],
        told=["deleted: {0}"],
        said=["somebody else deleted it"],
        script={"CleanUp": [{"answer": {"done": True, "status": "it is gone: somebody else deleted it", "snapshot": None}}]},
    )


def failing():
    """Each step: it fails, it has a bug, it has to be repeated."""
    yield scenario(
        "nothing can be looked for",
        [*FIND[:2], "ConcludeNotFound", "RecordNotice", *TELL, "NotCleanedUp"],
        "RewindFailed",
        ["could not be looked for"],
        due=0,
        told=["nothing was cleaned up"],
        said=["it is so [RewindFailed in FindDue]; nothing was changed"],
        script={"FindDue": always("RewindFailed")},
        calls={"CheckUnused": 0, "CleanUp": 0},
    )
    for error in ["RewindFailed", "Bug", "Unavailable"]:
        yield scenario(
            f"a check that ends in {error} deletes nothing, and the next one is looked at",
            [*FIND, *CHECK[:2], *FAILED, *DELETED, "NotCleanedUp"],
            error,
            ["could not be cleaned up, in CheckUnused"],
            due=2,
            told=["not cleaned up: {0}", "deleted: {1}"],
            said=[f"it is so [{error} in CheckUnused]"],
            script={"CheckUnused": [{"error": [error, "it is so"]}] * (9 if error == "Unavailable" else 1)},
            calls={"CheckUnused": 10 if error == "Unavailable" else 2, "CleanUp": 1},
        )
        for looks, path, said in [
            (0, [*FIND, "FindRecords"], "FindRecords"),
            (1, [*FIND, *CHECK, "FindRecordsAgain"], "FindRecordsAgain"),
            (2, [*FIND, *CHECK, *DELETE, "FindRecordsAgain"], "FindRecordsAgain"),
        ]:
            yield scenario(
                f"records that cannot be looked at, by {error} after {looks} looks, end it for this cluster, and are told",
                [*path, *FAILED, "NotCleanedUp"],
                error,
                [f"could not be cleaned up, in {said}"],
                told=["not cleaned up: {0}"],
                said=[f"it is so [{error} in {said}]"],
                script={
                    "FindRecords": [{}] * looks + always(error),
                    "CleanUp": [{"answer": {"done": False, "status": "orders-1 is deleting", "snapshot": "final"}}],
                },
                calls={"CheckUnused": min(looks, 1), "CleanUp": max(looks - 1, 0)},
            )
        yield scenario(
            f"a deletion that ends in {error} is told",
            [*FIND, *CHECK, *CALL, *FAILED, "NotCleanedUp"],
            error,
            told=["not cleaned up: {0}"],
            said=[f"it is so [{error} in CleanUp]"],
            script={"CleanUp": always(error)},
        )
    for state in ["FindDue", "FindRecords", "CheckUnused", "CleanUp"]:
        yield scenario(
            f"{state} is throttled, then not ready, then of unknown outcome, then works",
            [*FIND, *DELETED, "CleanedUp"],
            told=["deleted: {0}"],
            script={state: passing()},
            calls={state: len(PASSING) + (2 if state == "FindRecords" else 1)},
        )


def native():
    """The native states, made to throw."""
    yield scenario(
        "what cannot be remembered is told all the same",
        [*FIND, *KEPT, "CleanedUp"],
        told=["kept: {0}"],
        script={"CheckUnused": [{"answer": USED}]},
        mocked={"RecordNotice": "DynamoDB.AmazonDynamoDBException"},
    )
    yield scenario(
        "what cannot be told makes it fail in the end",
        [*FIND, *DELETED, "NotCleanedUp"],
        "Unavailable",
        ["nobody could be told this: kept-1-of-"],
        mocked={"SendNotice": "SNS.KmsDisabled"},
    )


def script(scenario, recovery, again=False):
    """What the stand-in is told for one run."""
    found = {"FindDue": [{"answer": {"due": due(recovery, scenario.request["due"])}}]} | scenario.script
    found |= scenario.request["again"] or {} if again else {}
    # A step that is to be repeated answers what is due behind its errors.
    if "FindDue" in scenario.script and not scenario.script["FindDue"][-1].get("always"):
        found["FindDue"] = [*scenario.script["FindDue"], {"answer": {"due": due(recovery, scenario.request["due"])}}]
    return json.dumps(found)
