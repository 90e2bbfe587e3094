"""Executions started by hand, as in the console, with the example inputs: each ends as the page beside them says."""

import json
import re

from checks import contains
from cluster import BACKTRACK, Cluster, remove
from engines import MYSQL
from recovery import APPROVED, WITHOUT_APPROVAL, WITHOUT_RECORDS, Recovery
from shop import fill
from test_check_login import reader_of
from test_resume import stopped
from stack import ROOT

INPUTS = ROOT / "statemachine" / "inputs"


def outcomes_on_the_page():
    """What the page says of each file's end, by name."""
    rows = re.findall(r"^\| \[([\w-]+\.json)\]\(\1\) \| .* \| `(\w+)` \|$", (INPUTS / "README.md").read_text(), re.M)
    return dict(rows)


def with_own_cluster(name, cluster, to):
    """An example with a person's own cluster, moment, records and login in it."""
    request = json.loads((INPUTS / name).read_text())
    request |= {"cluster": cluster.name, "to": request["to"] if request["to"] == "latest" else to}
    request["newCluster"] = f"{cluster.name}-{name.removesuffix('.json')}"
    for record in request.get("dns", []):
        record["hostedZoneId"] = cluster.stack.zone
        record["name"] = f"ro.{cluster.record}" if record.get("endpoint") == "reader" else cluster.record
    if "checkSecretArn" in request:
        request["checkSecretArn"] = cluster.reader
    return request


def create_example_cluster(stack, name):
    """A cluster of somebody who follows the examples: with what their checks look at, and a record for its readers."""
    cluster = Cluster.create(stack, name, instances=({}, {"PromotionTier": 5}))
    fill(cluster)
    cluster.reader = reader_of(cluster)
    cluster.sql(["CREATE TABLE test_backtrack (n int)", "INSERT INTO test_backtrack VALUES (1), (2)"], "postgres")
    reader = f"ro.{cluster.record}", cluster.describe()["ReaderEndpoint"], 1
    stack.change_record("UPSERT", *reader)
    stack.on_success(lambda: stack.change_record("DELETE", reader[0], *stack.records()[reader[0]]))
    cluster.settle(4)
    return cluster


def test_each_example_input_is_planned(stack):
    cluster, mysql = create_example_cluster(stack, "e2e-console"), Cluster.create(stack, "e2e-my-console", engine=MYSQL, **BACKTRACK)
    fill(mysql)
    mysql.settle(4)
    names = sorted(file.name for file in INPUTS.glob("*.json"))
    assert sorted(outcomes_on_the_page()) == names, "the files that the page tells of"
    names.remove("resume.json")  # it needs a recovery before it: the last test here
    of = lambda name: mysql if name == "in-place.json" else cluster
    runs = {name: Recovery(stack, with_own_cluster(name, of(name), "2s ago") | {"dryRun": True}) for name in names}
    for name, run in runs.items():
        ended = run.wait()
        assert ended["status"] == "SUCCEEDED", f"{name}, which said {ended.get('cause')}"
        output = json.loads(ended["output"])
        assert output["outcome"] == "Planned", f"the outcome of {name} as a dry run"
        assert output["plan"]["strategy"] == ("backtrack" if name == "in-place.json" else "restore"), (
            f"the strategy of {name}"
        )
        assert len(output["plan"]["dns"]) == len(run.request.get("dns", [])), f"the records of {name}"
    assert outcomes_on_the_page()["dry-run.json"] == "Planned", "what the page says of dry-run.json"
    for wrong, said in [
        ({"to": "2026-11-23T10:30:00"}, "the offset is missing"),
        ({"keepSource": "1440"}, "the unit is missing"),
        ({"keep_source": "1d"}, "`keepSource` was meant"),
    ]:
        ended = Recovery(stack, with_own_cluster("minimal.json", cluster, "2s ago") | {"dryRun": True} | wrong).wait()
        assert ended["error"] == "InvalidRequest", "the error"
        contains(ended["cause"], said, "nothing was changed; next step: correct the request")
        assert "\n" not in ended["cause"] and len(ended["cause"]) < 300, f"it is no readable line: {ended['cause']!r}"


def test_example_inputs_end_as_the_page_beside_them_says(stack):
    cluster = create_example_cluster(stack, "e2e-examples")
    for name, path in [("minimal.json", WITHOUT_RECORDS), ("writer-and-reader.json", APPROVED)]:
        request = with_own_cluster(name, cluster, "2s ago")
        stack.on_success(lambda new=request["newCluster"]: remove(stack, new))
        recovery = Recovery(stack, request)
        if path is APPROVED:
            recovery.approval()
            recovery.decide("approved")
        assert recovery.recovered(path)["outcome"] == outcomes_on_the_page()[name], f"the outcome of {name}"
    new = stack.describe(f"{cluster.name}-writer-and-reader")
    moved = {record: stack.records()[record][0] for record in (cluster.record, f"ro.{cluster.record}")}
    assert moved == {cluster.record: new["Endpoint"], f"ro.{cluster.record}": new["ReaderEndpoint"]}, "the records"


def test_example_input_without_approval_moves_traffic(stack):
    cluster = create_example_cluster(stack, "e2e-unasked")
    request = with_own_cluster("no-approval.json", cluster, "2s ago")
    stack.on_success(lambda: remove(stack, request["newCluster"]))
    run = Recovery(stack, request)
    output = run.recovered(WITHOUT_APPROVAL)
    assert (output["outcome"], run.result("Verify")["checks"][0]["found"]) == (outcomes_on_the_page()["no-approval.json"], "2"), "the outcome"


def test_example_input_that_resumes_goes_on_from_an_earlier_recovery(stack):
    cluster = create_example_cluster(stack, "e2e-resumed")
    earlier = stopped(cluster, approval="required")
    request = json.loads((INPUTS / "resume.json").read_text()) | {"resume": earlier.id}
    planned = Recovery(stack, request | {"dryRun": True}).wait()
    assert json.loads(planned["output"])["plan"]["adopted"]["recovery"] == earlier.id, "the plan of a dry run"
    recovery = Recovery(stack, request)
    recovery.request["cluster"] = cluster.name  # whose lease it takes
    recovery.approval()
    recovery.decide("approved")
    ended = recovery.wait()
    assert ended["status"] == "SUCCEEDED", f"it said {ended.get('cause')}"
    output = json.loads(ended["output"])
    assert output["outcome"] == outcomes_on_the_page()["resume.json"], "the outcome"
    assert (output["newCluster"], recovery.result("Verify")["checks"][0]["found"]) == (f"{cluster.name}-r", "2"), "what was adopted and checked"
