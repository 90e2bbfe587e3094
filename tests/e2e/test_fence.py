"""The fence under fire: applications write as fast as they can through the name, and what becomes of it."""

import time

from checks import refused
from cluster import Cluster, iso
from recovery import WITHOUT_APPROVAL, Recovery, seconds, undo
from writers import APP_PASSWORD, Writers


def test_old_writer_acknowledges_no_write_after_the_fence(stack, engine):
    cluster = Cluster.create(stack, f"{engine.prefix}-fire", engine=engine)
    numbers = ", ".join(f"({n})" for n in range(1000))
    cluster.sql(["CREATE TABLE precious (id int PRIMARY KEY)", f"INSERT INTO precious VALUES {numbers}"])
    old = stack.resolve(cluster.endpoint)
    with Writers(cluster).at_work() as writers:
        cluster.settle()
        target = cluster.mistake("DELETE FROM precious")
        check = {"name": "precious rows", "database": "shop", "sql": "SELECT count(*) FROM precious", "expect": "1000"}
        run = Recovery.of(cluster, iso(target), dns=cluster.dns(), checks=[check], approval="none")
        output = run.recovered(WITHOUT_APPROVAL)
        time.sleep(1)
    fenced_at, rewound_to = seconds(output["fence"]["fencedAt"]), seconds(output["rewoundTo"])
    new = stack.resolve(cluster.endpoint.replace(cluster.name, f"{cluster.name}-r"))
    acknowledged = writers.acknowledged
    assert {server for _, server, _ in acknowledged} == {old, new}, "the servers that acknowledged writes"
    late = [write for write in acknowledged if write[1] == old and write[2] > fenced_at]
    # A client may have been slow to hear of it: what decides is when the old writer says that it wrote.
    cluster.unfence_by_hand(["app"])
    on_old, on_new = writers.written(cluster), writers.written(cluster, host=cluster.record)
    assert cluster.value("SELECT count(*) FROM precious", host=cluster.record) == 1000, "the rows that were deleted"
    too_late = [id for id, at in on_old.items() if at > fenced_at]
    assert (late, too_late) == ([], []), "writes that the old writer acknowledged, or made, after fencedAt"
    told = writers.account(on_old, on_new, rewound_to, lambda write: write[1] == old)
    ended = output["fence"]["sessionsEnded"]
    assert ended >= len(writers.all), f"only {ended} sessions were ended"
    last = max(at for _, server, at in acknowledged if server == old)
    print(f"{told}; {ended} sessions ended; the old writer's last one was {fenced_at - last:.2f} s before fencedAt")


def test_logins_stay_closed_without_the_network_layer(stack, engine):
    cluster = Cluster.create(stack, f"{engine.prefix}-fenced", engine=engine)
    cluster.sql(["CREATE TABLE t (n int)", *engine.grant_app("app", APP_PASSWORD, "t")])
    cluster.settle()
    run = Recovery.of(cluster, "1s ago", dns=cluster.dns(), approval="none")
    output = run.recovered(WITHOUT_APPROVAL)
    layers = {layer["layer"]: layer["did"] for layer in run.result("FenceSource")["layers"]}
    assert sorted(layers) == ["login", "network", "proof", "sessions"], "the fence's layers"
    # With the network open again the other layers hold by themselves.
    stack.rds.modify_db_cluster(
        DBClusterIdentifier=cluster.name, VpcSecurityGroupIds=stack.app_groups, ApplyImmediately=True
    )
    cluster.wait_available()
    passwords = {"app": APP_PASSWORD, cluster.user: cluster.password}
    for database, user, said in engine.refused_logins:
        with refused(engine.error, said):
            cluster.connect(database, user, passwords[user])
    with cluster.connect(user="app", password=APP_PASSWORD, host=cluster.record) as session:
        session.execute("INSERT INTO t VALUES (1)")
    assert output["fence"]["sessionsEnded"] == 0, "sessions ended where there were none"


def test_undo_enters_the_restored_cluster_after_its_managed_password_was_turned_on(stack, engine):
    cluster = Cluster.create(stack, f"{engine.prefix}-own-secret", engine=engine)
    cluster.sql(["CREATE TABLE t (n int)", *engine.grant_app("app", APP_PASSWORD, "t")])
    cluster.settle()
    run = Recovery.of(cluster, "1s ago", dns=cluster.dns(), approval="none")
    run.recovered(WITHOUT_APPROVAL)
    # As the report advises: the password of the source's secret is over then.
    new = cluster.derived(f"{cluster.name}-r")
    stack.rds.modify_db_cluster(DBClusterIdentifier=new.name, ManageMasterUserPassword=True, ApplyImmediately=True)
    new.wait_available()
    ended = undo(stack, run.id)
    assert ended["status"] == "SUCCEEDED", f"the undo: {ended.get('cause')}"
    assert stack.records()[cluster.record] == (cluster.endpoint, 1), "the record"
    with cluster.connect(user="app", password=APP_PASSWORD, host=cluster.record) as session:
        session.execute("INSERT INTO t VALUES (1)")
    assert new.groups == sorted(stack.fence_groups), "the restored cluster is fenced"
    item = stack.item(f"fence#{run.id}")
    # What is lifted leaves no record for a later undo to return to.
    assert set(item) == {"id", "fenceLiftedAt", "fenceWas", "fenceRestored"}, "the records of both fences"
