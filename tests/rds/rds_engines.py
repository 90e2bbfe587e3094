"""The two engines under test, and how their databases are asked."""

import os
import socket
import ssl

import pymysql

from rds_clients import Subject, psql, resolve


def connect(host, user, database, port, password=None, tls="verify-full", source=None):
    """A connection to an endpoint, whose name its certificate must have; the system's resolver is not asked."""
    address = resolve(host)
    if not address:
        raise OSError(f"{host} has no address")
    context = None
    if tls == "verify-full":
        context = ssl.create_default_context(cafile=os.environ.get("PGSSLROOTCERT"))
    connection = pymysql.connect(host=host, port=port, user=user, password=password or "", database=database, ssl=context, ssl_disabled=context is None,
                                 autocommit=True, read_timeout=60, defer_connect=True)
    # What listens and admits nobody may not answer at all.
    connection.connect(socket.create_connection((address, port), timeout=10, source_address=(source, 0) if source else None))
    return connection


def run(connection, sql):
    rows = []
    with connection.cursor() as cursor:
        for statement in [sql] if isinstance(sql, str) else sql:
            cursor.execute(statement)
            rows += cursor.fetchall()
    return "\n".join("|".join("" if value is None else str(value) for value in row) for row in rows)


def query(host, sql, **more):
    try:
        connection = connect(host, **more)
        try:
            return run(connection, sql)
        finally:
            connection.close()
    except (pymysql.MySQLError, OSError) as error:
        return f"ERROR {error}"


ENGINES = {
    "postgresql": Subject("pg", "aurora-postgresql", "postgres", 5432, "postgres", "current_database()", "postgresql", psql),
    "mysql": Subject("my", "aurora-mysql", "admin", 3306, "shop", "database()", "audit", query),
}
