//! The tables that a query reads, from PostgreSQL's plan of it. The query is never run.

use super::connection::{EXAMINED, PostgresqlConnection};
use super::quote::{literal, table_name};
use crate::engine::queries::tables_or_none;
use crate::engine::{Connection, QueryLimits, QueryOperations, Table};
use crate::error::StatementError;
use rewind_core::StepError;
use serde_json::Value;
use std::collections::BTreeSet;

/// The tables that `sql` reads, partitions as the table that they are parts of.
pub(super) async fn tables_read_by(
    connection: &PostgresqlConnection,
    sql: &str,
    limits: QueryLimits,
) -> Result<Vec<Table>, StepError> {
    connection.begin_read_only(limits).await?;
    let planned = scanned(connection, sql, limits).await;
    connection.end_read_only().await?;
    let mut tables = BTreeSet::new();
    for table in tables_or_none(planned)? {
        tables.insert(partitioned_table(connection, table).await?);
    }
    Ok(tables.into_iter().collect())
}

async fn scanned(
    connection: &PostgresqlConnection,
    sql: &str,
    limits: QueryLimits,
) -> Result<BTreeSet<Table>, StatementError> {
    if connection.denial_of_text(sql).await?.is_some() {
        return Ok(BTreeSet::new());
    }
    // Refuses a second statement behind the first, which the simple protocol would run.
    connection.count_columns(sql, limits.statement).await?;
    // Planning runs functions too.
    if connection.denial_of_tree(sql).await?.is_some() {
        return Ok(BTreeSet::new());
    }
    let explain = format!("EXPLAIN (VERBOSE, FORMAT JSON) EXECUTE {EXAMINED}");
    let result = connection.query(&explain, usize::MAX, limits.statement).await?;
    let text: String = result.rows.into_iter().flatten().flatten().collect();
    let mut tables = BTreeSet::new();
    if let Ok(plan) = serde_json::from_str(&text) {
        collect(&plan, &mut tables);
    }
    Ok(tables)
}

/// Gathers every table that a node of the plan scans, however deep it lies.
fn collect(plan: &Value, tables: &mut BTreeSet<Table>) {
    match plan {
        Value::Array(items) => items.iter().for_each(|item| collect(item, tables)),
        Value::Object(node) => {
            let text = |key: &str| node.get(key).and_then(Value::as_str);
            if let (Some(schema), Some(name)) = (text("Schema"), text("Relation Name"))
                && !matches!(schema, "pg_catalog" | "information_schema" | "pg_toast")
            {
                tables.insert(Table { schema: schema.to_owned(), name: name.to_owned() });
            }
            node.values().for_each(|value| collect(value, tables));
        }
        _ => {}
    }
}

/// The partitioned table that `table` is a part of, or itself.
async fn partitioned_table(connection: &PostgresqlConnection, table: Table) -> Result<Table, StepError> {
    let rows = connection
        .rows(&format!(
            "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.oid = (SELECT coalesce(pg_catalog.pg_partition_root(t.oid), t.oid) \
             FROM (SELECT pg_catalog.to_regclass({})::oid) t(oid))",
            literal(&table_name(&table))
        ))
        .await?;
    Ok(match rows.into_iter().next().as_deref() {
        Some([Some(schema), Some(name)]) => Table { schema: schema.clone(), name: name.clone() },
        _ => table,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_table_of_a_plan_is_found_however_deep_and_the_systems_own_are_left_out() {
        let plan = json!([{ "Plan": { "Node Type": "Hash Join", "Plans": [
            { "Schema": "public", "Relation Name": "orders" },
            { "Node Type": "Hash", "Plans": [{ "Schema": "s", "Relation Name": "lines" }, { "Relation Name": "cte" }] },
            { "Schema": "pg_catalog", "Relation Name": "pg_class" },
            { "Schema": "public", "Relation Name": "orders" },
        ] } }]);
        let mut tables = BTreeSet::new();
        collect(&plan, &mut tables);
        let names: Vec<String> = tables.iter().map(Table::display).collect();
        assert_eq!(names, ["public.orders", "s.lines"]);
    }
}
