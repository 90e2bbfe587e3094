//! The functions that a query would call, from the tree that the server made of it: those of its views, of row-level security and
//! of planning among them. Nothing of the query is run, and nothing is planned, which would run some of them.
//!
//! A check is somebody's SQL, and it runs as a user that may do nearly everything. The read-only transaction holds back what it
//! writes, but not a function that ends sessions, drops a slot or exports rows, and not one that somebody planted under a name or
//! an operator of the query. So each function has to be one of the system's that acts on nothing, or C code that an administrator
//! of the server installed and that acts on nothing either.

use super::connection::{OWN_PATH, PostgresqlConnection};
use crate::engine::{Connection, Row};
use crate::error::StatementError;
use crate::read_only::calls_what_it_may_not;
use std::collections::BTreeSet;

/// Objects below are the system's own, made with the database.
const FIRST_OF_USERS: u32 = 16_384;

/// The system's functions that are marked as volatile, and only read: sizes, positions, the clock and chance.
const VOLATILE_AND_HARMLESS: &[&str] = &[
    "clock_timestamp",
    "currval",
    "gen_random_uuid",
    "lastval",
    "pg_column_size",
    "pg_current_wal_lsn",
    "pg_database_size",
    "pg_indexes_size",
    "pg_is_in_recovery",
    "pg_last_wal_replay_lsn",
    "pg_last_xact_replay_timestamp",
    "pg_relation_size",
    "pg_sequence_last_value",
    "pg_sleep",
    "pg_sleep_for",
    "pg_sleep_until",
    "pg_table_size",
    "pg_tablespace_size",
    "pg_total_relation_size",
    "random",
    "timeofday",
];

/// Functions that are not marked as volatile, and run SQL that the tree does not show.
const RUN_SQL: &[&str] = &[
    "cursor_to_xml",
    "cursor_to_xmlschema",
    "database_to_xml",
    "database_to_xml_and_xmlschema",
    "query_to_xml",
    "query_to_xml_and_xmlschema",
    "query_to_xmlschema",
    "schema_to_xml",
    "schema_to_xml_and_xmlschema",
    "table_to_xml",
    "table_to_xml_and_xmlschema",
];

/// What a tree names, by object id.
#[derive(Debug, Default, PartialEq, Eq)]
struct Named {
    functions: BTreeSet<u32>,
    operators: BTreeSet<u32>,
    types: BTreeSet<u32>,
    relations: BTreeSet<u32>,
}

/// The reason why `sql` must not run, or none.
///
/// The caller has had it parsed alone, in the transaction and on the path on which it is to run: it is one statement.
pub(super) async fn objection(connection: &PostgresqlConnection, sql: &str) -> Result<Option<String>, StatementError> {
    if first_word(sql) == "show" {
        return Ok(None);
    }
    let trees = connection.rewritten_trees(&format!("PREPARE rewind_check AS {sql}")).await?;
    connection.execute("DEALLOCATE rewind_check").await?;
    if trees.is_empty() {
        return Ok(Some("the server did not show which functions it calls".to_owned()));
    }
    connection.execute(OWN_PATH).await?;
    let refused = refused_in(connection, &trees).await?;
    connection.execute(&connection.login_path_first()).await?;
    Ok((!refused.is_empty()).then(|| calls_what_it_may_not(&refused)))
}

/// The functions of the trees which may not be called, each as people write it.
async fn refused_in(connection: &PostgresqlConnection, trees: &[String]) -> Result<Vec<String>, StatementError> {
    let mut named = Named::default();
    trees.iter().for_each(|tree| named.add(tree, Part::Run));
    named.close_over(connection).await?;
    refused(connection, &named).await
}

/// How much of a tree is evaluated.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// All of it, when the query runs.
    Run,
    /// Calls without a column in them: the planner evaluates those of an index or a constraint as whoever asks.
    Planned,
}

impl Named {
    /// Adds what `tree` names, in the form in which PostgreSQL prints and stores trees.
    fn add(&mut self, tree: &str, part: Part) {
        for call in calls(tree, part) {
            let mut words = call.split([' ', '\n', '(', ')', '{', '}']).filter(|word| !word.is_empty());
            while let Some(word) = words.next() {
                let Some(field) = word.strip_prefix(':') else { continue };
                let set = match field {
                    "funcid" | "opfuncid" | "aggfnoid" | "winfnoid" | "hashfuncid" | "negfuncid" => &mut self.functions,
                    "opno" | "sortop" | "eqop" => &mut self.operators,
                    "relid" => &mut self.relations,
                    // A list: all numbers behind it, the first of which is its kind.
                    "opnos" => {
                        let ids = words.clone().skip(1).map_while(|id| id.parse::<u32>().ok());
                        self.operators.extend(ids);
                        continue;
                    }
                    _ if field.ends_with("type") || field.ends_with("_typeid") => &mut self.types,
                    _ => continue,
                };
                set.extend(words.clone().next().and_then(|id| id.parse::<u32>().ok()).filter(|id| *id != 0));
            }
        }
    }

    /// Follows what the tree leads to: types to their domains, relations to their indexes and constraints.
    async fn close_over(&mut self, connection: &PostgresqlConnection) -> Result<(), StatementError> {
        let domains = connection.values(&constraints_of_types(&self.types)).await?;
        domains.iter().for_each(|tree| self.add(tree, Part::Run));
        let casts = connection.values(&casts_of_types(&self.types)).await?;
        self.functions.extend(casts.iter().filter_map(|id| id.parse::<u32>().ok()));
        let planned = connection.values(&expressions_of_relations(&self.relations)).await?;
        planned.iter().for_each(|tree| self.add(tree, Part::Planned));
        Ok(())
    }
}

/// The parts of a tree that are evaluated.
fn calls(tree: &str, part: Part) -> Vec<&str> {
    if part == Part::Run {
        return vec![tree];
    }
    let nodes = ["{FUNCEXPR", "{OPEXPR", "{DISTINCTEXPR", "{NULLIFEXPR", "{SCALARARRAYOPEXPR", "{COERCEVIAIO"];
    let starts = nodes.iter().flat_map(|node| tree.match_indices(node)).map(|(at, _)| at);
    starts.filter_map(|at| node(tree.get(at..)?)).filter(|call| !call.contains("{VAR")).collect()
}

/// The node at the start of `text`, with everything in it.
fn node(text: &str) -> Option<&str> {
    let (mut depth, mut escaped) = (0_usize, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '{' => depth += 1,
            '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return text.get(..=at);
                }
            }
            _ => {}
        }
    }
    None
}

fn first_word(sql: &str) -> String {
    sql.trim_start().split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default().to_ascii_lowercase()
}

/// The ids as SQL has them in a list; no object has the id 0.
fn list(ids: &BTreeSet<u32>) -> String {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    if ids.is_empty() { "0".to_owned() } else { ids.join(",") }
}

/// The constraints of the domains that the types lead to: by their elements, columns, bases and ranges.
fn constraints_of_types(types: &BTreeSet<u32>) -> String {
    let types = list(types);
    format!(
        "WITH RECURSIVE reached(id) AS (SELECT t.oid FROM pg_catalog.pg_type t WHERE t.oid IN ({types}) UNION \
         SELECT next.id FROM reached r JOIN pg_catalog.pg_type t ON t.oid = r.id CROSS JOIN LATERAL (\
         SELECT t.typelem UNION ALL SELECT t.typbasetype \
         UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 \
         UNION ALL SELECT g.rngsubtype FROM pg_catalog.pg_range g WHERE g.rngtypid = t.oid) next(id) WHERE next.id <> 0) \
         SELECT c.conbin::text FROM reached r JOIN pg_catalog.pg_constraint c ON c.contypid = r.id \
         WHERE c.conbin IS NOT NULL"
    )
}

/// The functions of casts that people made from the types: what writes JSON calls them by itself.
fn casts_of_types(types: &BTreeSet<u32>) -> String {
    format!(
        "SELECT c.castfunc FROM pg_catalog.pg_cast c WHERE c.castsource IN ({}) AND c.castfunc >= {FIRST_OF_USERS}",
        list(types)
    )
}

/// The expressions that the planner looks at for the relations and the parts of them.
fn expressions_of_relations(relations: &BTreeSet<u32>) -> String {
    let relations = list(relations);
    format!(
        "WITH RECURSIVE reached(id) AS (SELECT c.oid FROM pg_catalog.pg_class c WHERE c.oid IN ({relations}) UNION \
         SELECT i.inhrelid FROM reached r JOIN pg_catalog.pg_inherits i ON i.inhparent = r.id) \
         SELECT e.tree FROM reached r CROSS JOIN LATERAL (\
         SELECT i.indexprs::text FROM pg_catalog.pg_index i WHERE i.indrelid = r.id \
         UNION ALL SELECT i.indpred::text FROM pg_catalog.pg_index i WHERE i.indrelid = r.id \
         UNION ALL SELECT s.stxexprs::text FROM pg_catalog.pg_statistic_ext s WHERE s.stxrelid = r.id \
         UNION ALL SELECT p.partexprs::text FROM pg_catalog.pg_partitioned_table p WHERE p.partrelid = r.id \
         UNION ALL SELECT c.relpartbound::text FROM pg_catalog.pg_class c WHERE c.oid = r.id \
         UNION ALL SELECT c.conbin::text FROM pg_catalog.pg_constraint c WHERE c.conrelid = r.id) e(tree) \
         WHERE e.tree IS NOT NULL"
    )
}

/// The functions among those that are named which may not be called, each as people write it.
async fn refused(connection: &PostgresqlConnection, named: &Named) -> Result<Vec<String>, StatementError> {
    let (functions, operators) = (list(&named.functions), list(&named.operators));
    // An aggregate of somebody's is its functions: it has no language of its own.
    let rows = connection
        .rows(&format!(
            "WITH called(id) AS (SELECT p.oid FROM pg_catalog.pg_proc p WHERE p.oid IN ({functions}) \
             UNION SELECT o.oprcode::pg_catalog.oid FROM pg_catalog.pg_operator o WHERE o.oid IN ({operators})), \
             every(id) AS (SELECT id FROM called UNION SELECT part.id FROM called c \
             JOIN pg_catalog.pg_aggregate a ON a.aggfnoid::pg_catalog.oid = c.id CROSS JOIN LATERAL (VALUES \
             (a.aggtransfn::pg_catalog.oid), (a.aggfinalfn::pg_catalog.oid), (a.aggcombinefn::pg_catalog.oid), \
             (a.aggserialfn::pg_catalog.oid), (a.aggdeserialfn::pg_catalog.oid), (a.aggmtransfn::pg_catalog.oid), \
             (a.aggminvtransfn::pg_catalog.oid), (a.aggmfinalfn::pg_catalog.oid)) part(id)) \
             SELECT p.oid, n.nspname, p.proname, p.provolatile, l.lanname FROM every e \
             JOIN pg_catalog.pg_proc p ON p.oid = e.id JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
             JOIN pg_catalog.pg_language l ON l.oid = p.prolang ORDER BY 2, 3"
        ))
        .await?;
    let mut refused: Vec<String> = rows.into_iter().filter_map(may_not_be_called).collect();
    refused.dedup();
    refused.retain(|name| !connection.check_functions.contains(name));
    // Enough to find out whose they are.
    refused.truncate(5);
    Ok(refused)
}

fn may_not_be_called(row: Row) -> Option<String> {
    let [Some(id), Some(schema), Some(name), Some(volatility), Some(language)] = <[_; 5]>::try_from(row).ok()? else {
        return None;
    };
    let acts = volatility == "v";
    let is_of_the_system = id.parse::<u32>().is_ok_and(|id| id < FIRST_OF_USERS);
    let is_harmless = if is_of_the_system {
        !RUN_SQL.contains(&name.as_str()) && (!acts || VOLATILE_AND_HARMLESS.contains(&name.as_str()))
    } else {
        // Only a superuser, on RDS that is AWS, can make a function of these.
        !acts && matches!(language.as_str(), "c" | "internal")
    };
    (!is_harmless).then(|| if is_of_the_system { name } else { format!("{schema}.{name}") })
}
