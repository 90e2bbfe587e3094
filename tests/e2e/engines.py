"""The two engines as the tests' clients meet them: a session over TLS, and what each calls the same thing. It starts nothing
and knows no cluster."""

import datetime
import hashlib
import os
import re
import socket
import ssl
import subprocess

import psycopg
import pymysql

UTC = datetime.timezone.utc
CONNECT_TIMEOUT = 5


class Postgres:
    """Aurora PostgreSQL."""

    name, api, port, user = "postgresql", "aurora-postgresql", 5432, "postgres"
    prefix = "e2e"
    error = psycopg.Error
    # Where one may be while another database goes, or is fenced; and what a check runs in when it needs no data.
    neutral, maintenance = "postgres", "template1"
    drop_database = "DROP DATABASE shop WITH (FORCE)"
    drop_table = "DROP TABLE orders CASCADE"
    truncate = ["TRUNCATE customers, orders RESTART IDENTITY CASCADE"]
    # For the writers, who note what the server's clock said.
    writes = "CREATE TABLE writes (id bigint PRIMARY KEY, who text, at timestamptz DEFAULT clock_timestamp())"
    epoch = "extract(epoch FROM at)::float8"
    # What a client behind a fence is told.
    closed = "pg_hba.conf"
    no_database = 'database "shop" does not exist'
    no_table = '"made_since" does not exist'
    # Checks that would act, and why they are refused.
    refused_checks = (
        ("SELECT noted('by a check')", "it calls public.noted"),
        ("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity", "it calls pg_terminate_backend"),
        ("SELECT pg_drop_replication_slot('any')::text", "it calls pg_drop_replication_slot"),
        ("DELETE FROM orders RETURNING 1", "read-only transaction"),
    )
    # The function of the first, which writes.
    noting = """CREATE FUNCTION noted(n text) RETURNS int LANGUAGE plpgsql AS
         $$ BEGIN INSERT INTO audit.log (what) VALUES (n); RETURN 1; END $$"""

    class Session(psycopg.Connection):
        """A session, autocommit."""

        @property
        def server(self):
            return self.info.hostaddr

    def connect(self, stack, host, user, password, database, port):
        """By an RDS endpoint the server's name is verified; by another name its CA alone, for certificates name the RDS
        hosts."""
        return self.Session.connect(
            host=host,
            hostaddr=stack.resolve(host),
            port=port,
            user=user,
            password=password,
            dbname=database,
            sslmode="verify-full" if of_rds(host) else "verify-ca",
            sslrootcert=stack.ca,
            connect_timeout=CONNECT_TIMEOUT,
            autocommit=True,
        )

    def now(self, session):
        return session.execute("SELECT clock_timestamp()").fetchone()[0]

    def commit(self, session):
        # Its recovery stops at a commit alone: without one in between, what was asked for just before a DROP DATABASE finds
        # the files removed, which is done before the drop commits.
        session.execute("SELECT txid_current()")

    def databases(self, session):
        return [name for (name,) in session.execute("SELECT datname FROM pg_database WHERE datallowconn").fetchall()]

    def has_table(self, session, name):
        return session.execute("SELECT to_regclass(%s) IS NOT NULL", [name]).fetchone()[0]

    def tenant(self, name):
        """A database and a login of one name."""
        return [f"CREATE DATABASE {name} STRATEGY FILE_COPY", f"CREATE ROLE {name} LOGIN PASSWORD 'apples-and-pears'"]

    def grant_app(self, user, password, table):
        return [f"CREATE ROLE {user} LOGIN PASSWORD '{password}'", f"GRANT SELECT, INSERT ON {table} TO {user}"]

    # Logins and limits of every kind, each to be restored exactly; what a lifted fence tells of them; and what it closed.
    logins_of_every_kind = (
        "CREATE ROLE app LOGIN PASSWORD 'apples-and-pears' CONNECTION LIMIT 7",
        "CREATE ROLE batch LOGIN PASSWORD 'apples-and-pears' VALID UNTIL '2030-01-01'",
        "CREATE ROLE retired NOLOGIN",
        "CREATE DATABASE ledger CONNECTION LIMIT 17",
        "CREATE DATABASE shut CONNECTION LIMIT 0",
        'CREATE DATABASE "it\'s ""odd"""',
        "ALTER DATABASE ledger SET default_transaction_read_only = off",
        "ALTER ROLE batch SET work_mem = '8MB'",
        "REVOKE CONNECT ON DATABASE ledger FROM PUBLIC",
        "GRANT CONNECT ON DATABASE ledger TO app",
        "GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO app",
    )
    texts_of_a_lifted_fence = ("app may log in again", "connection limit of ledger restored to 17")
    texts_of_a_fence = ("ledger", "app, batch")
    # Whom a fence keeps out without its network layer, and with what words.
    refused_logins = (
        ("shop", "app", "is not permitted to log in"),
        ("postgres", "app", "is not permitted to log in"),
        ("shop", "postgres", "too many connections for database"),
        ("postgres", "postgres", "too many connections for database"),
    )

    def is_closing(self, session):
        """Whether a fence has begun to close what is inside."""
        closed = "SELECT count(*) FROM pg_database WHERE datname = 'ledger' AND datconnlimit = 0"
        try:
            return session.execute(closed).fetchone()[0]
        except psycopg.errors.AdminShutdown:
            return True  # on a busy machine it comes to the sessions between two looks

    def logins(self, session):
        """Everything that a fence may change inside the database."""
        databases = "SELECT datname, datconnlimit, datallowconn, datacl::text FROM pg_database ORDER BY datname"
        roles = (
            "SELECT rolname, rolcanlogin, rolconnlimit, rolvaliduntil::text, rolconfig::text, rolcreaterole, "
            "rolcreatedb, rolinherit FROM pg_roles ORDER BY rolname"
        )
        settings = "SELECT setdatabase::text, setrole::text, setconfig::text FROM pg_db_role_setting ORDER BY 1, 2"
        found = {"databases": databases, "roles": roles, "settings": settings}
        return {what: session.execute(query).fetchall() for what, query in found.items()}

    def reopen(self, session, roles):
        """Undoes a fence by hand, as far as it is inside the database."""
        closed = session.execute("SELECT quote_ident(datname) FROM pg_database WHERE datconnlimit = 0").fetchall()
        for (name,) in closed:
            session.execute(f"ALTER DATABASE {name} CONNECTION LIMIT -1")
        for role in roles:
            session.execute(f"ALTER ROLE {role} LOGIN")

    def rows(self, session):
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

    def schema(self, cluster, session, database, login):
        """The whole schema of a database as pg_dump writes it, owners and rights included."""
        dump = self.program("pg_dump", "--schema-only", cluster=cluster, database=database, **login)
        # A key against injection that is another one in every dump.
        return [line for line in dump.splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))]

    def program(self, name, *arguments, cluster, database, host, user, password):
        """Runs one of PostgreSQL's own programs; answers what it printed."""
        variables = {
            "PGHOST": host, "PGHOSTADDR": cluster.stack.resolve(host), "PGPORT": str(cluster.port), "PGUSER": user,
            "PGPASSWORD": password, "PGDATABASE": database, "PGSSLMODE": "verify-ca", "PGSSLROOTCERT": cluster.stack.ca,
        }  # fmt: skip
        done = subprocess.run(
            [name, *arguments], env=os.environ | variables, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        if done.returncode:
            raise AssertionError(f"{name} failed: {done.stderr}")
        return done.stdout


class MySql:
    """Aurora MySQL."""

    name, api, port, user = "mysql", "aurora-mysql", 3306, "admin"
    prefix = "e2e-my"
    error = pymysql.MySQLError
    neutral = maintenance = "information_schema"
    drop_database = "DROP DATABASE shop"
    drop_table = "DROP TABLE orders"
    # A table that a key refers to can't be truncated.
    truncate = ["TRUNCATE orders"]
    writes = "CREATE TABLE writes (id bigint PRIMARY KEY, who text, at timestamp(6) DEFAULT CURRENT_TIMESTAMP(6))"
    epoch = "UNIX_TIMESTAMP(at)"
    closed = "Lost connection"
    no_database = "Unknown database 'shop'"
    no_table = "made_since' doesn't exist"
    refused_checks = (
        ("SELECT noted('by a check')", "it calls noted"),
        ("SELECT lambda_sync('arn:of:a-function', '{}')", "it calls lambda_sync"),
        ("SELECT get_lock('any', 0)", "it calls get_lock"),
        ("SELECT count(*) FROM orders INTO OUTFILE '/tmp/rows'", "it has INTO"),
        ("SELECT /*/ ' */ noted('by a check') /* ' */", "it calls noted"),
    )
    noting = """CREATE FUNCTION noted(n text) RETURNS int MODIFIES SQL DATA
         BEGIN INSERT INTO audit.log (what) VALUES (n); RETURN 1; END"""

    class Session(pymysql.connections.Connection):
        """A session, autocommit, that speaks as psycopg's does."""

        server = None

        def execute(self, statement, parameters=None):
            cursor = self.cursor()
            cursor.execute(statement, parameters)
            return cursor

    def connect(self, stack, host, user, password, database, port):
        """As with PostgreSQL: the endpoint's name is verified, of another name the CA alone."""
        tls = ssl.create_default_context(cafile=stack.ca)
        tls.check_hostname = of_rds(host)
        session = self.Session(
            host=host, user=user, password=password, database=database, ssl=tls, charset="utf8mb4", autocommit=True,
            read_timeout=60, defer_connect=True,
        )  # fmt: skip
        session.server = stack.resolve(host)
        session.connect(socket.create_connection((session.server, port), CONNECT_TIMEOUT))
        return session

    def now(self, session):
        return session.execute("SELECT UTC_TIMESTAMP(6)").fetchone()[0].replace(tzinfo=UTC)

    def commit(self, _):
        """Its log tells the time of every statement."""

    def databases(self, session):
        return [name for (name,) in session.execute("SHOW DATABASES").fetchall()]

    def has_table(self, session, name):
        return bool(session.execute("SHOW TABLES LIKE %s", [name]).fetchall())

    def tenant(self, name):
        """A database and a login of one name, which may be in it."""
        user = f"CREATE USER {name} IDENTIFIED BY 'apples-and-pears'"
        return [f"CREATE DATABASE {name}", user, f"GRANT SELECT ON {name}.* TO {name}"]

    def grant_app(self, user, password, table):
        return [f"CREATE USER {user} IDENTIFIED BY '{password}'", f"GRANT SELECT, INSERT ON {table} TO {user}"]

    logins_of_every_kind = (
        "CREATE USER app IDENTIFIED BY 'apples-and-pears' WITH MAX_USER_CONNECTIONS 7",
        "CREATE USER batch@'127.%' IDENTIFIED BY 'apples-and-pears' PASSWORD EXPIRE INTERVAL 90 DAY",
        "CREATE USER retired IDENTIFIED BY 'apples-and-pears' ACCOUNT LOCK",
        "CREATE USER `it's \"odd`@localhost IDENTIFIED BY 'apples-and-pears'",
        "CREATE ROLE readers",
        "CREATE DATABASE ledger",
        "GRANT SELECT, INSERT ON *.* TO app",
        "GRANT SELECT ON shop.* TO readers",
        "GRANT readers TO batch@'127.%'",
    )
    texts_of_a_lifted_fence = ("app@% may log in again", "batch@127.% may log in again")
    texts_of_a_fence = ("app@%", "batch@127.%")
    # The master user undoes the fence, and cannot be locked out by anything but the network.
    refused_logins = (("shop", "app", "this account is locked"), ("information_schema", "app", "this account is locked"))

    def is_closing(self, session):
        return "ACCOUNT LOCK" in session.execute("SHOW CREATE USER app").fetchone()[0]

    def logins(self, session):
        accounts = session.execute("SELECT user, host FROM mysql.user ORDER BY 1, 2").fetchall()
        show = lambda what, account: [row[0] for row in session.execute(f"SHOW {what} {named(*account)}").fetchall()]
        # What the control plane keeps for itself is not for the master user to see.
        known = [account for account in accounts if not re.match(r"rds|mysql\.|mariadb\.|PUBLIC$|$", account[0])]
        # A role has no host, and nobody logs in as one.
        return {
            "accounts": [(account, show("CREATE USER", account)) for account in known if account[1]],
            "grants": [(account, show("GRANTS FOR", account)) for account in known],
        }

    def reopen(self, session, roles):
        for role in roles:
            session.execute(f"ALTER USER {role} ACCOUNT UNLOCK")

    def rows(self, session):
        """Of all databases: a dropped one is missed by that."""
        tables = session.execute(
            f"SELECT table_schema, table_name, auto_increment FROM information_schema.tables "
            f"WHERE table_type = 'BASE TABLE' AND {of_people('table_schema')} ORDER BY 1, 2"
        ).fetchall()
        found = {}
        for schema, name, following in tables:
            all_rows = session.execute(f"SELECT * FROM `{schema}`.`{name}`").fetchall()
            found[f"{schema}.{name}"] = (len(all_rows), checksum(all_rows))
            if following is not None:
                found[f"the next of {schema}.{name}"] = following
        return found

    def schema(self, cluster, session, database, login):
        """Everything of all databases as the server itself tells it, and who may do what."""
        ask = lambda query: session.execute(query).fetchall()
        databases = ask(
            f"SELECT schema_name FROM information_schema.schemata WHERE {of_people('schema_name')} ORDER BY 1"
        )
        told = [ask(f"SHOW CREATE DATABASE `{name}`")[0][1] for (name,) in databases]
        for kind, column, source, which in [
            ("TABLE", 1, "table_schema, table_name FROM information_schema.tables", "table_schema"),
            ("TRIGGER", 2, "trigger_schema, trigger_name FROM information_schema.triggers", "trigger_schema"),
            ("EVENT", 3, "event_schema, event_name FROM information_schema.events", "event_schema"),
            *(
                (kind, 2, "routine_schema, routine_name FROM information_schema.routines",
                 f"routine_type = '{kind}' AND routine_schema")
                for kind in ["FUNCTION", "PROCEDURE"]
            ),
        ]:  # fmt: skip
            for schema, name in ask(f"SELECT {source} WHERE {of_people(which)} ORDER BY 1, 2"):
                made = ask(f"SHOW CREATE {kind} `{schema}`.`{name}`")[0][column]
                told += [f"{kind} {schema}.{name}", *re.sub(r" AUTO_INCREMENT=\d+", "", made).splitlines()]
        return told + [str(login) for logins in self.logins(session).values() for login in logins]


def of_people(column):
    return f"{column} NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys')"


def named(user, host):
    quoted = lambda text: "'" + text.replace("'", "''") + "'"
    return f"{quoted(user)}@{quoted(host)}" if host else quoted(user)


def checksum(rows):
    """Over all rows, in an order that they have by themselves."""
    return hashlib.md5("\n".join(sorted(map(repr, rows))).encode()).hexdigest()


def of_rds(host):
    return host.endswith(".rds.amazonaws.com")


POSTGRES, MYSQL = Postgres(), MySql()
ENGINES = [POSTGRES, MYSQL]
