//! The tables that a query reads, by the database's own word, and how many rows they have. It never runs the query.

use crate::checks::{Bounds, ask, begin, end};
use crate::engine::Dialect;
use crate::error::Failure;
use crate::quote::{identifier, literal, mysql_identifier, mysql_literal};
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

    fn quoted(&self, dialect: Dialect) -> String {
        let quote = match dialect {
            Dialect::Postgres => identifier,
            Dialect::MySql | Dialect::MariaDb => mysql_identifier,
        };
        format!("{}.{}", quote(&self.schema), quote(&self.name))
    }
}

/// The tables that `sql` reads, partitions as the table that they are parts of, without the system's own.
///
/// A query that the database cannot plan reads none. Tables that functions read are not seen.
pub(crate) async fn tables_of(session: &Session, sql: &str, bounds: Bounds) -> Result<Vec<Table>, StepError> {
    begin(session, bounds).await?;
    let found = match session.dialect() {
        Dialect::Postgres => plan_of(session, sql, bounds).await,
        Dialect::MySql => rewritten(session, &format!("EXPLAIN {sql}"), bounds).await,
        Dialect::MariaDb => rewritten(session, &format!("EXPLAIN EXTENDED {sql}"), bounds).await,
    };
    end(session).await?;
    let found = match found {
        Ok(found) => found,
        Err(Failure::Broken(error)) => return Err(error),
        Err(Failure::Refused(_) | Failure::TimedOut) => BTreeSet::new(),
    };
    if session.dialect() != Dialect::Postgres {
        return Ok(found.into_iter().collect());
    }
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

/// The tables that MySQL names when it says how it rewrote a query: its plans name aliases only.
async fn rewritten(session: &Session, explain: &str, bounds: Bounds) -> Result<BTreeSet<Table>, Failure> {
    /// The number of the note that holds the query.
    const REWRITTEN: &str = "1003";
    session.columns(explain, bounds.statement).await?;
    session.answer(explain, 0, bounds.statement).await?;
    let notes = session.rows("SHOW WARNINGS").await?;
    let query = notes.into_iter().find_map(|note| match <[_; 3]>::try_from(note) {
        Ok([_, Some(code), Some(query)]) if code == REWRITTEN => Some(query),
        _ => None,
    });
    let mut unseen = pairs(&query.unwrap_or_default());
    let (mut seen, mut tables) = (BTreeSet::new(), BTreeSet::new());
    while let Some(table) = unseen.pop() {
        if !seen.insert(table.clone()) {
            continue;
        }
        let kind = session
            .rows(&format!(
                "SELECT t.table_type, v.view_definition FROM information_schema.tables t \
                 LEFT JOIN information_schema.views v \
                 ON v.table_schema = t.table_schema AND v.table_name = t.table_name \
                 WHERE t.table_schema = {} AND t.table_name = {}",
                mysql_literal(&table.schema),
                mysql_literal(&table.name)
            ))
            .await?;
        match kind.into_iter().next().as_deref() {
            Some([_, Some(view)]) => unseen.extend(pairs(view)),
            Some([Some(kind), None]) if kind == "BASE TABLE" => {
                tables.insert(table);
            }
            _ => {}
        }
    }
    Ok(tables)
}

/// Every pair of names in a query as MySQL writes it, all of them quoted. Columns have three names, or are pairs that no
/// table is called by.
fn pairs(query: &str) -> Vec<Table> {
    let mut pairs = Vec::new();
    let mut names: Vec<String> = Vec::new();
    let mut rest = query.chars().peekable();
    let mut joined = false;
    while let Some(next) = rest.next() {
        match next {
            '.' => joined = true,
            '`' | '\'' | '"' => {
                let mut text = String::new();
                while let Some(inner) = rest.next() {
                    if inner == next {
                        if rest.next_if_eq(&next).is_none() {
                            break;
                        }
                    } else if inner == '\\' && next != '`' {
                        rest.next();
                        continue;
                    }
                    text.push(inner);
                }
                if !joined {
                    collect_pair(&mut names, &mut pairs);
                }
                if next == '`' {
                    names.push(text);
                }
                joined = false;
            }
            _ => {
                collect_pair(&mut names, &mut pairs);
                joined = false;
            }
        }
    }
    collect_pair(&mut names, &mut pairs);
    pairs
}

fn collect_pair(names: &mut Vec<String>, pairs: &mut Vec<Table>) {
    if let Ok([schema, name]) = <[String; 2]>::try_from(std::mem::take(names))
        && !matches!(schema.as_str(), "mysql" | "information_schema" | "performance_schema" | "sys")
    {
        pairs.push(Table { schema, name });
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
            literal(&table.quoted(Dialect::Postgres))
        ))
        .await?;
    Ok(match rows.into_iter().next().as_deref() {
        Some([Some(schema), Some(name)]) => Table { schema: schema.clone(), name: name.clone() },
        _ => table,
    })
}

/// How many rows `table` has, or why they could not be counted.
pub(crate) async fn count(session: &Session, table: &Table, bounds: Bounds) -> Result<Result<u64, String>, StepError> {
    let answer = ask(session, &format!("SELECT count(*) FROM {}", table.quoted(session.dialect())), bounds).await?;
    Ok(answer.value.and_then(|text| text.parse().map_err(|_| format!("its count is \"{text}\""))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_names_in_a_rewritten_query_are_told_from_its_columns_and_texts() {
        let query = "/* select#1 */ select `shop`.`o`.`id` AS `id`,'`no`.`table`' AS `\'``no``.``text`` \'`,\"x\"\"`a`.`b`\" \
                     from `shop`.`orders` `o` join (`s``ales`.`li.nes` `l`) where `q`.`id` = 'it\\'s `c`.`d`' \
                     and exists(select 1 from `mysql`.`user`)";
        let names: Vec<String> = pairs(query).iter().map(Table::display).collect();
        assert_eq!(names, ["shop.orders", "s`ales.li.nes", "q.id"]);
        assert!(pairs("`a").is_empty() && pairs("`a`.`b").len() == 1);
    }

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
