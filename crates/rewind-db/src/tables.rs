//! The tables that a query reads, by the database's own word, and how many rows they have. It never runs the query.

use crate::checks::{Bounds, ask, begin, end};
use crate::error::Failure;
use crate::quote::{identifier, literal};
use crate::session::Session;
use rewind_core::StepError;
use serde_json::Value;
use std::collections::BTreeSet;

/// A table, as the catalogue names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Table {
    pub(crate) schema: String,
    pub(crate) name: String,
}

impl Table {
    /// The name as a person reads it.
    pub(crate) fn display(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    fn quoted(&self) -> String {
        format!("{}.{}", identifier(&self.schema), identifier(&self.name))
    }
}

/// The tables that `sql` reads, partitions as the table that they are parts of, without the system's own.
///
/// A query that the database cannot plan reads none. Tables that functions read are not seen.
pub(crate) async fn tables_of(session: &Session, sql: &str, bounds: Bounds) -> Result<Vec<Table>, StepError> {
    begin(session, bounds).await?;
    let found = plan_of(session, sql, bounds).await;
    end(session).await?;
    let found = match found {
        Ok(found) => found,
        Err(Failure::Broken(error)) => return Err(error),
        Err(Failure::Refused(_) | Failure::TimedOut) => BTreeSet::new(),
    };
    let mut tables = BTreeSet::new();
    for table in found {
        tables.insert(whole(session, table).await?);
    }
    Ok(tables.into_iter().collect())
}

async fn plan_of(session: &Session, sql: &str, bounds: Bounds) -> Result<BTreeSet<Table>, Failure> {
    let explain = format!("EXPLAIN (VERBOSE, FORMAT JSON) {sql}");
    session.columns(&explain, bounds.statement).await?;
    let answered = session.answer(&explain, usize::MAX, bounds.statement).await?;
    let text: String = answered.rows.into_iter().flatten().flatten().collect();
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
async fn whole(session: &Session, table: Table) -> Result<Table, StepError> {
    let rows = session
        .rows(&format!(
            "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.oid = (SELECT coalesce(pg_catalog.pg_partition_root(t.oid), t.oid) \
             FROM (SELECT pg_catalog.to_regclass({})::oid) t(oid))",
            literal(&table.quoted())
        ))
        .await?;
    Ok(match rows.into_iter().next().as_deref() {
        Some([Some(schema), Some(name)]) => Table { schema: schema.clone(), name: name.clone() },
        _ => table,
    })
}

/// How many rows `table` has, or why they could not be counted.
pub(crate) async fn count(session: &Session, table: &Table, bounds: Bounds) -> Result<Result<u64, String>, StepError> {
    let answer = ask(session, &format!("SELECT count(*) FROM {}", table.quoted()), bounds).await?;
    Ok(answer.value.and_then(|text| text.parse().map_err(|_| format!("its count is \"{text}\""))))
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
