"""How a cluster was before a recovery that left it as it was."""

from shop import difference, everything


class Baseline:
    """How a cluster was; afterwards it must be so again, writable by name, with nothing beside it."""

    def __init__(self, cluster):
        self.cluster, self.stack = cluster, cluster.stack
        self.logins, self.record = cluster.logins(), self.stack.records()[cluster.record]
        self.content = everything(cluster)
        self.tags = cluster.describe()["TagList"]

    def is_restored(self, new_cluster_kept=False):
        cluster = self.cluster
        now = cluster.logins()
        for what, was in self.logins.items():
            assert now[what] == was, f"{what} of the source"
        assert self.stack.records()[cluster.record] == self.record, "the record"
        assert cluster.describe()["TagList"] == self.tags, "the source's tags"
        assert difference(everything(cluster, cluster.record), self.content) == "", "the source's data, by name"
        cluster.sql("INSERT INTO audit.log (what) VALUES ('still writable')", host=cluster.record)
        if not new_cluster_kept:
            left = [name for name in self.stack.inventory() if name.startswith(f"{cluster.name}-r")]
            assert left == [], "the restored cluster and its instances"
