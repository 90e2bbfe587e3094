"""The data of the tests: a small shop with something of everything, and a complete comparison of databases."""

from cluster import Cluster
from engines import MYSQL, POSTGRES

ON_POSTGRES = [
    "CREATE SCHEMA audit",
    "CREATE TYPE public.state AS ENUM ('open', 'paid', 'sent')",
    """CREATE TABLE customers (
         id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, email text UNIQUE,
         born date, notes jsonb, tags text[], photo bytea)""",
    """CREATE TABLE orders (
         id bigserial PRIMARY KEY, customer int NOT NULL REFERENCES customers ON DELETE CASCADE,
         placed timestamptz NOT NULL, net numeric(12,2) NOT NULL,
         gross numeric(12,2) GENERATED ALWAYS AS (net * 1.19) STORED,
         state public.state NOT NULL DEFAULT 'open', weight double precision)""",
    "CREATE INDEX orders_open ON orders (customer) WHERE state = 'open'",
    "CREATE TABLE audit.log (at timestamptz DEFAULT clock_timestamp(), what text) PARTITION BY RANGE (at)",
    "CREATE TABLE audit.log_now PARTITION OF audit.log DEFAULT",
    "CREATE VIEW spent AS SELECT customer, sum(gross) AS gross FROM orders GROUP BY customer",
    "CREATE MATERIALIZED VIEW best AS SELECT customer, count(*) FROM orders GROUP BY customer WITH NO DATA",
    """CREATE FUNCTION audit.note() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN INSERT INTO audit.log (what) VALUES (TG_OP || ' ' || NEW.id); RETURN NEW; END $$""",
    "CREATE TRIGGER note AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION audit.note()",
    POSTGRES.noting,
    "COMMENT ON TABLE orders IS 'what was ordered; Grüße, 漢字'",
    """INSERT INTO customers (name, email, born, notes, tags, photo)
         SELECT 'Zoë ' || n, CASE WHEN n % 7 > 0 THEN n || '@example.com' END, date '1950-01-01' + n,
           jsonb_build_object('n', n, 'x', repeat('y', n % 50)), ARRAY['a', NULL, n::text], decode(md5(n::text), 'hex')
         FROM generate_series(1, 300) n""",
    """INSERT INTO orders (customer, placed, net, state, weight)
         SELECT 1 + n % 300, timestamptz '2026-01-01' + n * interval '1 minute', n * 1.07,
           (ARRAY['open', 'paid', 'sent'])[1 + n % 3]::public.state, CASE WHEN n % 11 > 0 THEN sqrt(n) END
         FROM generate_series(1, 4000) n""",
    "REFRESH MATERIALIZED VIEW best",
]


# A schema is a database there; so many rows come of two small sequences, for recursion is bounded; and with their numbers given
# no more are set aside than there are.
ON_MYSQL = [
    "CREATE DATABASE audit",
    """CREATE TABLE customers (
         id int AUTO_INCREMENT PRIMARY KEY, name varchar(100) NOT NULL, email varchar(100) UNIQUE,
         born date, notes json, tags set('a', 'b', 'c'), photo varbinary(100))""",
    """CREATE TABLE orders (
         id bigint AUTO_INCREMENT PRIMARY KEY, customer int NOT NULL, placed datetime(6) NOT NULL, net decimal(12,2) NOT NULL,
         gross decimal(12,2) GENERATED ALWAYS AS (net * 1.19) STORED,
         state enum('open', 'paid', 'sent') NOT NULL DEFAULT 'open', weight double, KEY orders_open (customer, state),
         CONSTRAINT of_customer FOREIGN KEY (customer) REFERENCES customers (id) ON DELETE CASCADE)
         COMMENT 'what was ordered; Grüße, 漢字' DEFAULT CHARACTER SET utf8mb4""",
    """CREATE TABLE audit.log (at timestamp(6) DEFAULT CURRENT_TIMESTAMP(6), what varchar(200))
         PARTITION BY RANGE (UNIX_TIMESTAMP(at)) (PARTITION log_now VALUES LESS THAN MAXVALUE)""",
    "CREATE VIEW spent AS SELECT customer, sum(gross) AS gross FROM orders GROUP BY customer",
    "CREATE FUNCTION doubled(n int) RETURNS int DETERMINISTIC RETURN n * 2",
    "CREATE PROCEDURE clear_log() DELETE FROM audit.log",
    MYSQL.noting,
    """CREATE TRIGGER note AFTER INSERT ON orders FOR EACH ROW
         INSERT INTO audit.log (what) VALUES (CONCAT('INSERT ', NEW.id))""",
    """INSERT INTO customers (id, name, email, born, notes, tags, photo)
         WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 300)
         SELECT n, CONCAT('Zoë ', n), IF(n % 7 > 0, CONCAT(n, '@example.com'), NULL), '1950-01-01' + INTERVAL n DAY,
           JSON_OBJECT('n', n, 'x', REPEAT('y', n % 50)), n % 8, UNHEX(MD5(n)) FROM s""",
    """INSERT INTO orders (id, customer, placed, net, state, weight)
         WITH RECURSIVE s (m) AS (SELECT 0 UNION ALL SELECT m + 1 FROM s WHERE m < 99)
         SELECT n, 1 + n % 300, '2026-01-01' + INTERVAL n MINUTE, n * 1.07, 1 + n % 3, IF(n % 11 > 0, SQRT(n), NULL)
         FROM (SELECT a.m * 100 + b.m + 1 AS n FROM s a, s b WHERE a.m < 40) numbered ORDER BY n""",
]
SCHEMAS = {POSTGRES: ON_POSTGRES, MYSQL: ON_MYSQL}


def fill(cluster, database="shop"):
    """Makes the shop."""
    cluster.sql(SCHEMAS[cluster.engine], database)


# PostgreSQL logs a sequence's values ahead, by so many, and a recovery goes on from what was logged.
LOGGED_AHEAD = 32


def same(found, expected):
    if isinstance(found, tuple) and isinstance(expected, tuple) and found[0] == expected[0] == "next after":
        return 0 <= (found[1] or 0) - (expected[1] or 0) <= LOGGED_AHEAD
    return found == expected


def everything(cluster, host=None, password=None, database="shop"):
    """What a database holds: its rows, and its whole schema, owners and rights included."""
    login = {"host": host or cluster.endpoint, "user": cluster.user, "password": password or cluster.password}
    with cluster.connect(database, **login) as session:
        rows = cluster.engine.rows(session)
        schema = cluster.engine.schema(cluster, session, database, login)
    return {"rows": rows, "schema": schema}


def difference(found, expected):
    """In what two databases differ, in a sentence; empty when in nothing."""
    wrong = []
    for table in sorted(set(found["rows"]) | set(expected["rows"])):
        a, b = found["rows"].get(table), expected["rows"].get(table)
        if not same(a, b):
            wrong.append(f"{table} has {a}, expected {b}")
    if found["schema"] != expected["schema"]:
        a, b = found["schema"], expected["schema"]
        extra, missing = [line for line in a if line not in b], [line for line in b if line not in a]
        wrong.append(f"the schema has {extra[:5]} too many and lacks {missing[:5]}")
    return "; ".join(wrong)


def create_shop(stack, name, **more):
    """A cluster with the shop in it."""
    cluster = Cluster.create(stack, name, **more)
    fill(cluster)
    return cluster


def settled_shop(stack, name, **more):
    """The same, and a moment to rewind to is well after its last statement."""
    cluster = create_shop(stack, name, **more)
    cluster.settle()
    return cluster
