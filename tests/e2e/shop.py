"""The data of the tests: a small shop with something of everything, and a complete comparison of databases."""

SCHEMA = [
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


def fill(cluster, database="shop"):
    """Makes the shop."""
    cluster.sql(SCHEMA, database)


def content(session):
    """Every row of every table, as a count and a checksum over all of them in order; every sequence, as it stands."""
    tables = session.execute(
        """SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE c.relkind IN ('r', 'm') AND n.nspname NOT LIKE 'pg\\_%'
             AND n.nspname <> 'information_schema' ORDER BY 1"""
    ).fetchall()
    found = {}
    for (table,) in tables:
        found[table] = session.execute(
            f"SELECT count(*), coalesce(md5(string_agg(t::text, E'\\n' ORDER BY t::text)), 'none') FROM {table} t"
        ).fetchone()
    sequences = "SELECT schemaname || '.' || sequencename, last_value FROM pg_sequences ORDER BY 1"
    return found | {name: ("next after", value) for name, value in session.execute(sequences).fetchall()}


# PostgreSQL logs a sequence's values ahead, by so many, and a recovery goes on from what was logged.
LOGGED_AHEAD = 32


def same(found, expected):
    if found and expected and found[0] == expected[0] == "next after":
        return 0 <= (found[1] or 0) - (expected[1] or 0) <= LOGGED_AHEAD
    return found == expected


def everything(stack, host, user, password, database="shop", port=5432):
    """What a database holds: its rows, and its whole schema as pg_dump writes it, owners and rights included."""
    with stack.connect(host, user, password, database, port) as session:
        rows = content(session)
    dump = stack.program(
        "pg_dump", "--schema-only", host=host, user=user, password=password, database=database, port=port
    )
    # A key against injection that is another one in every dump.
    schema = [line for line in dump.splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))]
    return {"rows": rows, "schema": "\n".join(schema)}


def difference(found, expected):
    """In what two databases differ, in a sentence; empty when in nothing."""
    wrong = []
    for table in sorted(set(found["rows"]) | set(expected["rows"])):
        a, b = found["rows"].get(table), expected["rows"].get(table)
        if not same(a, b):
            wrong.append(f"{table} has {a}, expected {b}")
    if found["schema"] != expected["schema"]:
        a, b = found["schema"].splitlines(), expected["schema"].splitlines()
        extra, missing = [line for line in a if line not in b], [line for line in b if line not in a]
        wrong.append(f"the schema has {extra[:5]} too many and lacks {missing[:5]}")
    return "; ".join(wrong)
