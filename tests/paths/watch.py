"""The paths of the machine that watches a fence: it ends in silence where the watch was ended, and announces everything else."""

from execution import execute, problems_of_end
from scenario import WATCH, Scenario, slug

READ = ["Begin", "WaitForFence", "ReadFence"]
OVERDUE = ["AnnounceOverdue", "IsAnnounced", "Watched"]
BROKEN = "DynamoDB.AmazonDynamoDBException"


def run(deployment, scenario):
    """Runs the watch of a recovery whose item is as the scenario says; answers what is wrong."""
    recovery = slug(scenario.name)
    if scenario.request["item"] is not None:
        item = {"id": f"recovery#{recovery}", "state": "Running"} | scenario.request["item"]
        fields = {name: {"S": value} for name, value in item.items()}
        deployment.client("dynamodb").put_item(TableName=deployment.table, Item=fields)
    given = {"recovery": {"id": recovery, "executionArn": f"arn:of:{recovery}"}, "cluster": "orders", "seconds": 900}
    given |= scenario.request["given"]
    return [*problems_of_end(deployment, scenario, execute(deployment, scenario, recovery, given))]


def scenario(name, path, *rest, item=None, given=None, **more):
    return Scenario(f"watch: {name}", path, *rest, request={"item": item, "given": given or {}}, machine=WATCH, **more)


def scenarios():
    ended = {"fenceWatchEndedAt": "2026-11-23T10:41:00Z"}
    yield scenario("clients were let in again", [*READ, "IsFenceUp", "Watched"], item=ended)
    second = {"given": {"undo": "second"}}
    yield scenario("an undo let clients in again", [*READ, "IsFenceUp", "Watched"], item=ended | {"undoWatchEnded": "second"}, **second)
    # The recovery let clients in, and so did the first attempt to undo it; the second keeps them out.
    yield scenario("an undo keeps clients out", [*READ, "IsFenceUp", *OVERDUE], item=ended | {"undoWatchEnded": "first"}, **second)
    yield scenario("the first undo keeps clients out", [*READ, "IsFenceUp", *OVERDUE], item=ended, **second)
    yield scenario("the fence still stands", [*READ, "IsFenceUp", *OVERDUE], item={})
    yield scenario("the recovery ended with its fence up", [*READ, "IsFenceUp", *OVERDUE], item={"state": "NeedsOperator"})
    yield scenario("the record is gone", [*READ, "IsFenceUp", *OVERDUE])
    yield scenario("the record cannot be read", [*READ, *OVERDUE], item=ended, mocked={"ReadFence": BROKEN})
    yield scenario(
        "the event cannot be sent",
        [*READ, "IsFenceUp", *OVERDUE[:2], "Unannounced"],
        "FenceOverdueUnannounced",
        ["could not be sent"],
        item={},
        mocked={"AnnounceOverdue": "EventBridge.EventBridgeException"},
    )
