//! The tables that a query reads, from MySQL's note on how it rewrote it: its plans name aliases only. The query is never run.

use super::Variant;
use super::connection::MysqlConnection;
use super::quote::literal;
use crate::engine::queries::tables_or_none;
use crate::engine::{Connection, QueryLimits, QueryOperations, Table};
use crate::error::StatementError;
use rewind_core::StepError;
use std::collections::BTreeSet;

/// The tables that `sql` reads, those behind its views among them.
pub(super) async fn tables_read_by(
    connection: &MysqlConnection,
    sql: &str,
    limits: QueryLimits,
) -> Result<Vec<Table>, StepError> {
    connection.begin_read_only(limits).await?;
    let found = base_tables(connection, sql, limits).await;
    connection.end_read_only().await?;
    Ok(tables_or_none(found)?.into_iter().collect())
}

async fn base_tables(
    connection: &MysqlConnection,
    sql: &str,
    limits: QueryLimits,
) -> Result<BTreeSet<Table>, StatementError> {
    let mut unseen = pairs(&rewritten(connection, sql, limits).await?);
    let (mut seen, mut tables) = (BTreeSet::new(), BTreeSet::new());
    while let Some(table) = unseen.pop() {
        // Views can be reached by two ways, and an alias may read like a table that is its own.
        if !seen.insert(table.clone()) {
            continue;
        }
        let kind = connection
            .rows(&format!(
                "SELECT t.table_type, v.view_definition FROM information_schema.tables t \
                 LEFT JOIN information_schema.views v \
                 ON v.table_schema = t.table_schema AND v.table_name = t.table_name \
                 WHERE t.table_schema = {} AND t.table_name = {}",
                literal(&table.schema),
                literal(&table.name)
            ))
            .await?;
        match kind.into_iter().next().as_deref() {
            // A view that is not merged stands in the note by its own name, and hides the tables that it reads.
            Some([_, Some(view)]) => unseen.extend(pairs(view)),
            Some([Some(kind), None]) if kind == "BASE TABLE" => {
                tables.insert(table);
            }
            _ => {}
        }
    }
    Ok(tables)
}

/// The query as the server rewrote it, with the full name of every table; empty where it does not say.
async fn rewritten(connection: &MysqlConnection, sql: &str, limits: QueryLimits) -> Result<String, StatementError> {
    /// The number of the note that holds the query.
    const REWRITTEN: &str = "1003";
    // MySQL 8.0 took the word away, and says the same without it.
    let explain = match connection.variant {
        Variant::MySql => format!("EXPLAIN {sql}"),
        Variant::MariaDb => format!("EXPLAIN EXTENDED {sql}"),
    };
    // Preparing and planning run functions too.
    if connection.denial_of_text(sql).await?.is_some() {
        return Ok(String::new());
    }
    connection.count_columns(&explain, limits.statement).await?;
    connection.query(&explain, 0, limits.statement).await?;
    let notes = connection.rows("SHOW WARNINGS").await?;
    let query = notes.into_iter().find_map(|note| match <[_; 3]>::try_from(note) {
        Ok([_, Some(code), Some(query)]) if code == REWRITTEN => Some(query),
        _ => None,
    });
    Ok(query.unwrap_or_default())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_in_a_rewritten_query_are_told_from_its_columns_and_texts() {
        let query = "/* select#1 */ select `shop`.`o`.`id` AS `id`,'`no`.`table`' AS `\'``no``.``text`` \'`,\"x\"\"`a`.`b`\" \
                     from `shop`.`orders` `o` join (`s``ales`.`li.nes` `l`) where `q`.`id` = 'it\\'s `c`.`d`' \
                     and exists(select 1 from `mysql`.`user`)";
        let names: Vec<String> = pairs(query).iter().map(Table::display).collect();
        assert_eq!(names, ["shop.orders", "s`ales.li.nes", "q.id"]);
        assert!(pairs("`a").is_empty() && pairs("`a`.`b").len() == 1);
    }
}
