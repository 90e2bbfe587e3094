//! The functions that a query would call, from the tree that the server made of it: those of its views, of row-level security and
//! of planning among them. Nothing of the query is run, and nothing is planned, which would run some of them.
//!
//! A check is somebody's SQL, and it runs as a user that may do nearly everything. The read-only transaction holds back what it
//! writes, but not a function that ends sessions, drops a slot or exports rows, and not one that somebody planted under a name or
//! an operator of the query. So each function has to be one of the system's that acts on nothing, or C code that an administrator
//! of the server installed and that acts on nothing either.

use super::connection::{EXAMINED, OWN_PATH, PostgresqlConnection};
use crate::engine::{Connection, QueryResult, Row};
use crate::error::StatementError;
use crate::read_only::calls_what_it_may_not;
use std::collections::BTreeSet;
use std::time::Duration;

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

/// Functions that are not marked as volatile, and run SQL that the tree does not show, or take a transaction id, which counts as a
/// write.
const STABLE_AND_NOT_HARMLESS: &[&str] = &[
    "cursor_to_xml",
    "cursor_to_xmlschema",
    "database_to_xml",
    "database_to_xml_and_xmlschema",
    "database_to_xmlschema",
    "pg_current_xact_id",
    "query_to_xml",
    "query_to_xml_and_xmlschema",
    "query_to_xmlschema",
    "schema_to_xml",
    "schema_to_xml_and_xmlschema",
    "schema_to_xmlschema",
    "table_to_xml",
    "table_to_xml_and_xmlschema",
    "txid_current",
];

/// The beginnings of names that AWS gives to what it adds to the system's functions: some of them act, whatever they are marked as.
const OF_AWS: [&str; 3] = ["aurora_", "rds_", "apg_"];

/// Extensions whose functions in C compute, and run no SQL. PostGIS is none of them: some of its functions ask the tables of its
/// coordinate systems, with operators that the path of the login finds.
const COMPUTING_EXTENSIONS: &[&str] = &[
    "btree_gin",
    "btree_gist",
    "citext",
    "cube",
    "earthdistance",
    "fuzzystrmatch",
    "hll",
    "hstore",
    "intarray",
    "ip4r",
    "isn",
    "ltree",
    "pg_trgm",
    "pgcrypto",
    "seg",
    "unaccent",
    "uuid-ossp",
    "vector",
];

/// The beginnings of names in PostGIS that compute alone: the operators of geometries, and what estimates for them.
const POSTGIS_COMPUTES: [&str; 2] = ["geometry_", "gserialized_gist_"];

/// The objects that a tree names, by their ids.
#[derive(Debug, Default, PartialEq, Eq)]
struct Named {
    functions: BTreeSet<u32>,
    /// Functions that the planner computes for no row, because a column is their argument. It puts the text of one in SQL in place
    /// of the call, and then evaluates what stands in that text.
    over_columns: BTreeSet<u32>,
    operators: BTreeSet<u32>,
    relations: BTreeSet<u32>,
    /// Every number of the trees, but for the bytes of values. The types are among them, under names that differ from version to
    /// version.
    numbers: BTreeSet<u32>,
    /// The same without the types of columns: a column has values of a domain already, and nothing is brought to it.
    made: BTreeSet<u32>,
    /// True if a tree makes JSON by the language itself, and not by a function.
    makes_json: bool,
}

/// The reason why no check may be parsed in this database, or none.
///
/// Values in the text of a query are read while it is parsed, and what belongs to their type runs then: the constraint of a domain,
/// the canonical form of a range, the input of a type. What writes JSON calls the cast to it by itself. None of that shows in a tree
/// that could be examined before, so all of the database are looked at.
pub(super) async fn denial_of_database(connection: &PostgresqlConnection) -> Result<Option<String>, StatementError> {
    begin_examination(connection).await?;
    let refused = refused_in_database(connection).await?;
    end_examination(connection).await?;
    Ok((!refused.is_empty()).then(|| {
        let why = calls_what_it_may_not(&refused);
        format!("a domain, a type or a cast to JSON of the database may be evaluated by any query: {why}")
    }))
}

/// The functions of all domains, types and casts to JSON which may not be called.
async fn refused_in_database(connection: &PostgresqlConnection) -> Result<Vec<String>, StatementError> {
    let mut named = Named::default();
    let domains =
        "SELECT c.conbin::text FROM pg_catalog.pg_constraint c WHERE c.contypid <> 0 AND c.conbin IS NOT NULL";
    connection.values(domains).await?.iter().for_each(|tree| named.add(tree, Part::Run));
    named.add_functions(&connection.values(&functions_of_types()).await?);
    refused(connection, &named).await
}

/// The reason why `sql` must not run, or none.
///
/// The caller has had it parsed alone, in the transaction and on the path on which it is to run: it is one statement.
pub(super) async fn denial(connection: &PostgresqlConnection, sql: &str) -> Result<Option<String>, StatementError> {
    if is_setting(sql) {
        return Ok(None);
    }
    let refused = refused_of_examined(connection, sql).await?;
    end_examination(connection).await?;
    Ok(refused.map(|refused| match refused.is_empty() {
        true => NOT_SHOWN.to_owned(),
        false => calls_what_it_may_not(&refused),
    }))
}

/// The reason why `sql`, which is our own and whose transaction is on [`OWN_PATH`], must not run, or none: by its names it calls the
/// system's functions alone, but reading a table may call what its owner put into an index, a constraint or a policy.
pub(super) async fn denial_on_own_path(
    connection: &PostgresqlConnection,
    sql: &str,
) -> Result<Option<String>, StatementError> {
    let refused = refused_of_examined(connection, sql).await?;
    connection.execute(EXAMINATION_OVER).await?;
    Ok(refused.map(|refused| match refused.is_empty() {
        true => NOT_SHOWN.to_owned(),
        false => format!("reading it calls {}, as the login that may nearly everything", refused.join(", ")),
    }))
}

/// The end of an examination: the statement itself is compiled where the server would.
const EXAMINATION_OVER: &str = "SET LOCAL jit TO DEFAULT";

const NOT_SHOWN: &str = "the server did not show which functions it calls";

/// Prepares `sql` and returns the functions for which it must not run: empty where the server showed none of its tree, none where it may
/// run. It leaves the transaction on [`OWN_PATH`].
async fn refused_of_examined(
    connection: &PostgresqlConnection,
    sql: &str,
) -> Result<Option<Vec<String>>, StatementError> {
    let trees = connection.prepare_examined(sql).await?;
    if trees.is_empty() {
        return Ok(Some(Vec::new()));
    }
    begin_examination(connection).await?;
    let mut named = Named::default();
    trees.iter().for_each(|tree| named.add(tree, Part::Run));
    keep_changes_out(connection, &named.relations).await?;
    let refused = refused_in(connection, named).await?;
    Ok((!refused.is_empty()).then_some(refused))
}

/// The error of a query that may have read rows.
pub(super) fn without_rows(error: StatementError) -> StatementError {
    error.without_rows(ABOUT_NAMES)
}

/// Has names found in the system alone. The server would compile the queries of the examination for longer than they take: it
/// overestimates what recursion finds.
async fn begin_examination(connection: &PostgresqlConnection) -> Result<(), StatementError> {
    connection.execute(&format!("{OWN_PATH}; SET LOCAL jit = off")).await
}

/// Goes back to the path of the preparation: on another the server would make a new tree.
async fn end_examination(connection: &PostgresqlConnection) -> Result<(), StatementError> {
    connection.execute(&format!("{EXAMINATION_OVER}; {}", connection.login_path_first())).await
}

/// The codes of errors at run time whose messages name objects, rights, locks and limits: insufficient privilege, read-only transaction, lock not
/// available, serialization failure, deadlock, disk full, out of memory, division by zero.
const ABOUT_NAMES: &[&str] = &["42501", "25006", "55P03", "40001", "40P01", "53100", "53200", "22012"];

/// Runs what [`denial`] examined: the tree that it was shown, in which no name is looked up again.
///
/// The server makes a new tree, and plans it at once, where a table was altered since. Most of that waits for the locks that the
/// preparation took; the rest for those of [`keep_changes_out`], where they could be taken.
pub(super) async fn query_examined(
    connection: &PostgresqlConnection,
    sql: &str,
    keep: usize,
    limit: Duration,
) -> Result<QueryResult, StatementError> {
    let result = match is_setting(sql) {
        true => connection.query(sql, keep, limit).await,
        false => connection.query(&format!("EXECUTE {EXAMINED}"), keep, limit).await,
    };
    // Only from here on a value of a row is read: what the preparation refuses are names and the text of the query itself.
    result.map_err(|error| error.without_rows(ABOUT_NAMES))
}

/// Locks the tables, with all parts of them, against what the planner would see at once: a part that is attached, an index, statistics.
/// Reading and writing go on. It takes the locks that are free and that this login may take, which on a reader are none.
async fn keep_changes_out(connection: &PostgresqlConnection, relations: &BTreeSet<u32>) -> Result<(), StatementError> {
    let tables = connection
        .values(&format!(
            "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid IN ({}) AND c.relkind IN ('r', 'p') \
             AND c.oid >= {FIRST_OF_USERS} AND NOT pg_catalog.pg_is_in_recovery() \
             AND pg_catalog.has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE')",
            list(relations)
        ))
        .await?;
    for table in tables {
        // Not waited for: a vacuum of a large table takes hours, and the check shall not.
        let lock = format!("SAVEPOINT kept_out; LOCK TABLE {table} IN SHARE UPDATE EXCLUSIVE MODE NOWAIT");
        match connection.execute(&lock).await {
            Err(StatementError::Refused(_)) => connection.execute("ROLLBACK TO SAVEPOINT kept_out").await?,
            locked => locked?,
        }
    }
    Ok(())
}

/// The functions of the trees which may not be called, each as people write it.
async fn refused_in(connection: &PostgresqlConnection, mut named: Named) -> Result<Vec<String>, StatementError> {
    // Of an index and a constraint the planner evaluates some.
    let planned = connection.values(&expressions_of_relations(&named.relations)).await?;
    planned.iter().for_each(|tree| named.add(tree, Part::Planned));
    // Where a value is brought to a domain, the server asks while it plans if that has constraints, and evaluates all in them that
    // needs no value.
    let constraints = connection.values(&constraints_of_domains(&named)).await?;
    constraints.iter().for_each(|tree| named.add(tree, Part::Run));
    // What reads a foreign table is a function as well: it leads to another database, or out of the server.
    named.add_functions(&connection.values(&handlers_of_relations(&named.relations)).await?);
    named.add_functions(&connection.values(&functions_behind(&named)).await?);
    refused(connection, &named).await
}

/// How much of a tree is evaluated.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// All of it, when the query runs.
    Run,
    /// The part of an index or a constraint that the planner evaluates, as whoever asks: every call without a column in it, and every
    /// operator, whose function it calls with values of the statistics to see how many rows a condition has.
    Planned,
}

impl Named {
    /// Adds what `tree` names, in the form in which PostgreSQL prints and stores trees.
    fn add(&mut self, tree: &str, part: Part) {
        self.makes_json |= tree.contains("{JSON");
        let mut words = tree.split([' ', '\n', '(', ')', '{', '}']).filter(|word| !word.is_empty());
        while let Some(word) = words.next() {
            let number = word.parse::<u32>().ok();
            self.numbers.extend(number);
            self.made.extend(number);
            let Some(field) = word.strip_prefix(':') else { continue };
            let set = match field {
                "constvalue" => {
                    words = behind_bytes(words);
                    continue;
                }
                "vartype" => {
                    // Nothing but a number is passed over, whatever a name in the tree is made to resemble.
                    if let Some(of_column) = words.clone().next().and_then(id) {
                        self.numbers.insert(of_column);
                        words.next();
                    }
                    continue;
                }
                "funcid" if part == Part::Planned => continue,
                "funcid" | "opfuncid" | "aggfnoid" | "winfnoid" | "hashfuncid" | "negfuncid" | "startInRangeFunc"
                | "endInRangeFunc" => &mut self.functions,
                "opno" | "sortop" | "eqop" | "cycle_mark_neop" => &mut self.operators,
                "relid" => &mut self.relations,
                // A list: all numbers behind it, the first of which is its kind.
                "opnos" => {
                    let ids = words.clone().skip(1).map_while(|id| id.parse::<u32>().ok());
                    self.operators.extend(ids);
                    continue;
                }
                _ => continue,
            };
            set.extend(words.clone().next().and_then(id));
        }
        if part == Part::Planned {
            self.add_planned_calls(tree);
        }
    }

    /// Adds the calls by name, apart by whether a column is an argument itself: an argument that is computed from one may still come
    /// to a value without it, as `COALESCE('x', word)` and `NULL + id` do.
    fn add_planned_calls(&mut self, tree: &str) {
        let calls = tree.match_indices("{FUNCEXPR ").filter_map(|(at, _)| node(tree.get(at..)?));
        for call in calls {
            let set = if has_column(call) { &mut self.over_columns } else { &mut self.functions };
            let mut words = call.split(' ').skip_while(|word| *word != ":funcid");
            set.extend(words.nth(1).and_then(id));
        }
    }

    /// Adds functions by their ids, as the catalogue prints them.
    fn add_functions(&mut self, ids: &[String]) {
        self.functions.extend(ids.iter().filter_map(|text| id(text)));
    }
}

/// The words behind the bytes of a value, `8 [ 114 0 … ]`; all of them where there are none.
fn behind_bytes<'t, W: Iterator<Item = &'t str> + Clone>(words: W) -> W {
    let mut behind = words.clone();
    if behind.next().is_none_or(|length| length.parse::<u32>().is_err()) || behind.next() != Some("[") {
        return words;
    }
    // Nothing but bytes is passed over, whatever a name in the tree is made to resemble.
    while behind.clone().next().is_some_and(|byte| byte.parse::<i16>().is_ok()) {
        behind.next();
    }
    behind
}

/// The id that `text` is; none for what is no number, and for 0, which is no object.
fn id(text: &str) -> Option<u32> {
    text.parse::<u32>().ok().filter(|id| *id != 0)
}

/// True if one of the node's own arguments is a column, or a column under the name of another type.
fn has_column(call: &str) -> bool {
    let inner = call.get(1..).unwrap_or_default();
    let (mut rest, mut escaped) = (inner.char_indices(), false);
    while let Some((at, character)) = rest.next() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '{' => {
                let Some(argument) = inner.get(at..).and_then(node) else { return false };
                if argument.starts_with("{VAR ") || argument.starts_with("{RELABELTYPE ") && has_column(argument) {
                    return true;
                }
                // Behind the argument: what stands in it is not the call's own.
                if let Some(last) = argument.chars().count().checked_sub(2) {
                    rest.nth(last);
                }
            }
            _ => {}
        }
    }
    false
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

/// True for `SHOW`, which calls nothing and cannot be prepared.
fn is_setting(sql: &str) -> bool {
    let word = sql.trim_start().split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    word.eq_ignore_ascii_case("show")
}

/// The ids as SQL has them in a list; no object has the id 0.
fn list(ids: &BTreeSet<u32>) -> String {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    if ids.is_empty() { "0".to_owned() } else { ids.join(",") }
}

/// The expressions that the planner looks at for the relations and the parts of them.
// As JSON, because before PostgreSQL 14 statistics have no expressions, and no such column.
fn expressions_of_relations(relations: &BTreeSet<u32>) -> String {
    let reached = reached(relations);
    format!(
        "{reached} SELECT p.partexprs::text FROM above a JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = a.id \
         WHERE p.partexprs IS NOT NULL UNION ALL SELECT e.tree FROM reached r CROSS JOIN LATERAL (\
         SELECT i.indexprs::text FROM pg_catalog.pg_index i WHERE i.indrelid = r.id \
         UNION ALL SELECT i.indpred::text FROM pg_catalog.pg_index i WHERE i.indrelid = r.id \
         UNION ALL SELECT pg_catalog.to_jsonb(s) ->> 'stxexprs' FROM pg_catalog.pg_statistic_ext s WHERE s.stxrelid = r.id \
         UNION ALL SELECT c.relpartbound::text FROM pg_catalog.pg_class c WHERE c.oid = r.id \
         UNION ALL SELECT c.conbin::text FROM pg_catalog.pg_constraint c WHERE c.conrelid = r.id) e(tree) \
         WHERE e.tree IS NOT NULL"
    )
}

/// The functions that read the foreign tables among the relations and the parts of them.
fn handlers_of_relations(relations: &BTreeSet<u32>) -> String {
    let reached = reached(relations);
    format!(
        "{reached} SELECT w.fdwhandler::pg_catalog.oid FROM reached r JOIN pg_catalog.pg_foreign_table t ON t.ftrelid = r.id \
         JOIN pg_catalog.pg_foreign_server s ON s.oid = t.ftserver \
         JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw"
    )
}

/// The relations and the parts of them, as the beginning of a query: `reached`, and with all that they are parts of, `above`.
fn reached(relations: &BTreeSet<u32>) -> String {
    format!(
        "WITH RECURSIVE reached(id) AS (SELECT c.oid FROM pg_catalog.pg_class c WHERE c.oid IN ({}) UNION \
         SELECT i.inhrelid FROM reached r JOIN pg_catalog.pg_inherits i ON i.inhparent = r.id), \
         above(id) AS (SELECT r.id FROM reached r UNION \
         SELECT i.inhparent FROM above a JOIN pg_catalog.pg_inherits i ON i.inhrelid = a.id)",
        list(relations)
    )
}

/// The operators that are named and those that the planner puts in their place, as a part of a recursive query: `op`. It turns an
/// operator round and negates it, one after the other, and orders by that of an aggregate.
fn operators(named: &Named) -> String {
    format!(
        "op(id) AS (SELECT o.oid FROM pg_catalog.pg_operator o WHERE o.oid IN ({}) UNION SELECT a.aggsortop \
         FROM pg_catalog.pg_aggregate a WHERE a.aggfnoid::pg_catalog.oid IN ({}) UNION SELECT other.id FROM op \
         JOIN pg_catalog.pg_operator o ON o.oid = op.id \
         CROSS JOIN LATERAL (VALUES (o.oprnegate), (o.oprcom)) other(id))",
        list(&named.operators),
        list(&named.functions)
    )
}

/// The condition that `p` with its language `l` is the code of whoever may create functions. C and the system's own are of those who
/// administer the server, but for the library that lends them to others (`pg_tle`).
fn of_people() -> String {
    format!("p.oid >= {FIRST_OF_USERS} AND (l.lanname NOT IN ('c', 'internal') OR p.probin LIKE '%pg_tle%')")
}

/// The functions of people that belong to a type, as values of it are read and written, or cast to JSON.
fn functions_of_types() -> String {
    let of_people = of_people();
    format!(
        "SELECT p.oid FROM (SELECT f.id FROM pg_catalog.pg_type t CROSS JOIN LATERAL (VALUES \
         (t.typinput::pg_catalog.oid), (t.typoutput::pg_catalog.oid), (t.typreceive::pg_catalog.oid), \
         (t.typsend::pg_catalog.oid), (t.typmodin::pg_catalog.oid), (t.typmodout::pg_catalog.oid)) f(id) \
         UNION SELECT r.rngcanonical::pg_catalog.oid FROM pg_catalog.pg_range r \
         UNION SELECT c.castfunc FROM pg_catalog.pg_cast c WHERE {TO_JSON}) f(id) \
         JOIN pg_catalog.pg_proc p ON p.oid = f.id JOIN pg_catalog.pg_language l ON l.oid = p.prolang WHERE {of_people}"
    )
}

const TO_JSON: &str = "c.casttarget IN ('pg_catalog.json'::pg_catalog.regtype, 'pg_catalog.jsonb'::pg_catalog.regtype)";

/// The types among the numbers and what they consist of, as a part of a recursive query: `typ`, and of ranges alone `ranges`. Elements,
/// the types below domains, attributes, subtypes, and whatever the constraint of a domain names.
// As JSON, because before PostgreSQL 14 there are no multiranges, and no such column. As text, because not every number is an id.
fn types(numbers: &BTreeSet<u32>) -> String {
    format!(
        "typ(id) AS (SELECT t.oid FROM pg_catalog.pg_type t WHERE t.oid IN ({}) UNION SELECT part.id FROM typ \
         JOIN pg_catalog.pg_type t ON t.oid = typ.id CROSS JOIN LATERAL (VALUES (t.typelem), (t.typbasetype) \
         UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute a WHERE t.typrelid <> 0 AND a.attrelid = t.typrelid \
         AND a.attnum > 0 UNION ALL SELECT r.rngsubtype FROM ranges r WHERE t.oid IN (r.id, r.multi) \
         UNION ALL SELECT n.oid FROM pg_catalog.pg_constraint c \
         CROSS JOIN LATERAL pg_catalog.regexp_matches(c.conbin::text, '[0-9]+', 'g') m(number) \
         JOIN pg_catalog.pg_type n ON n.oid::text = m.number[1] WHERE c.contypid = t.oid) part(id)), \
         ranges(id, multi, rngsubtype, difference, class) AS (SELECT r.rngtypid, \
         (pg_catalog.to_jsonb(r) OPERATOR(pg_catalog.->>) 'rngmultitypid')::pg_catalog.oid, r.rngsubtype, \
         r.rngsubdiff::pg_catalog.oid, r.rngsubopc FROM pg_catalog.pg_range r)",
        list(numbers)
    )
}

/// The constraints of the domains to which the trees bring values.
fn constraints_of_domains(named: &Named) -> String {
    let types = types(&named.made);
    format!(
        "WITH RECURSIVE {types} SELECT c.conbin::text FROM typ JOIN pg_catalog.pg_constraint c ON c.contypid = typ.id \
         WHERE typ.id <> 0 AND c.conbin IS NOT NULL"
    )
}

/// The functions that no tree names and that its types and operators lead to: the cast of a type to JSON, where JSON is made; the
/// difference of a range, which the planner asks for how many rows a condition has; and what people made of a class of operators, by
/// which rows are compared, hashed and found.
fn functions_behind(named: &Named) -> String {
    let (reached, operators, types) = (reached(&named.relations), operators(named), types(&named.numbers));
    let (of_people, functions, makes_json) = (of_people(), list(&named.functions), named.makes_json);
    format!(
        "{reached}, {operators}, {types}, \
         family(id) AS (SELECT c.opcfamily FROM reached r JOIN pg_catalog.pg_index i ON i.indrelid = r.id \
         JOIN pg_catalog.pg_opclass c ON c.oid = ANY (i.indclass::pg_catalog.oid[]) \
         UNION SELECT c.opcfamily FROM above a JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = a.id \
         JOIN pg_catalog.pg_opclass c ON c.oid = ANY (p.partclass::pg_catalog.oid[]) \
         UNION SELECT a.amopfamily FROM op JOIN pg_catalog.pg_amop a ON a.amopopr = op.id \
         JOIN pg_catalog.pg_am m ON m.oid = a.amopmethod WHERE m.amname IN ('btree', 'hash') \
         UNION SELECT c.opcfamily FROM typ JOIN pg_catalog.pg_opclass c ON c.opcintype = typ.id \
         JOIN pg_catalog.pg_am m ON m.oid = c.opcmethod WHERE c.opcdefault AND m.amname IN ('btree', 'hash') \
         UNION SELECT c.opcfamily FROM typ JOIN ranges r ON typ.id IN (r.id, r.multi) \
         JOIN pg_catalog.pg_opclass c ON c.oid = r.class) \
         SELECT c.castfunc FROM typ JOIN pg_catalog.pg_cast c ON c.castsource = typ.id WHERE {TO_JSON} AND \
         ({makes_json} OR EXISTS (SELECT FROM pg_catalog.pg_proc j WHERE j.oid IN ({functions}) AND j.prorettype IN \
         ('pg_catalog.json'::pg_catalog.regtype, 'pg_catalog.jsonb'::pg_catalog.regtype))) \
         UNION SELECT r.difference FROM typ JOIN ranges r ON typ.id IN (r.id, r.multi) \
         UNION SELECT p.oid FROM family JOIN (SELECT s.amprocfamily, s.amproc::pg_catalog.oid FROM pg_catalog.pg_amproc s \
         UNION SELECT a.amopfamily, o.oprcode::pg_catalog.oid FROM pg_catalog.pg_amop a \
         JOIN pg_catalog.pg_operator o ON o.oid = a.amopopr) member(family, id) ON member.family = family.id \
         JOIN pg_catalog.pg_proc p ON p.oid = member.id JOIN pg_catalog.pg_language l ON l.oid = p.prolang WHERE {of_people}"
    )
}

/// The functions among those that are named which may not be called, each as people write it.
async fn refused(connection: &PostgresqlConnection, named: &Named) -> Result<Vec<String>, StatementError> {
    let (functions, over_columns) = (list(&named.functions), list(&named.over_columns));
    let operators = operators(named);
    // Of a function over a column the planner puts a body in SQL into its place, and evaluates the defaults of its arguments.
    // An aggregate of somebody's is its functions: it has no language of its own. What estimates for an operator is called as well.
    let rows = connection
        .rows(&format!(
            "WITH RECURSIVE {operators}, called(id) AS (SELECT p.oid FROM pg_catalog.pg_proc p WHERE p.oid IN ({functions}) \
             UNION SELECT p.oid FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang \
             WHERE p.oid IN ({over_columns}) AND (l.lanname = 'sql' OR p.pronargdefaults > 0) \
             UNION SELECT f.id FROM op JOIN pg_catalog.pg_operator o ON o.oid = op.id \
             CROSS JOIN LATERAL (VALUES (o.oprcode::pg_catalog.oid), (o.oprrest::pg_catalog.oid), \
             (o.oprjoin::pg_catalog.oid)) f(id)), \
             every(id) AS (SELECT id FROM called UNION SELECT part.id FROM called c \
             JOIN pg_catalog.pg_aggregate a ON a.aggfnoid::pg_catalog.oid = c.id CROSS JOIN LATERAL (VALUES \
             (a.aggtransfn::pg_catalog.oid), (a.aggfinalfn::pg_catalog.oid), (a.aggcombinefn::pg_catalog.oid), \
             (a.aggserialfn::pg_catalog.oid), (a.aggdeserialfn::pg_catalog.oid), (a.aggmtransfn::pg_catalog.oid), \
             (a.aggminvtransfn::pg_catalog.oid), (a.aggmfinalfn::pg_catalog.oid)) part(id)) \
             SELECT p.oid, n.nspname, p.proname, pg_catalog.oidvectortypes(p.proargtypes), (SELECT count(DISTINCT o.proowner) \
             FROM pg_catalog.pg_proc o WHERE o.pronamespace = p.pronamespace AND o.proname = p.proname), \
             p.provolatile, CASE WHEN l.lanname = 'sql' AND \
             (pg_catalog.to_jsonb(p) OPERATOR(pg_catalog.->>) 'prosqlbody') IS NOT NULL THEN 'parsed sql' \
             WHEN p.probin LIKE '%pg_tle%' THEN 'pg_tle' ELSE l.lanname::text END, coalesce((SELECT x.extname \
             FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension x ON x.oid = d.refobjid \
             WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e' \
             AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass), '') FROM every e \
             JOIN pg_catalog.pg_proc p ON p.oid = e.id JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
             JOIN pg_catalog.pg_language l ON l.oid = p.prolang ORDER BY 2, 3"
        ))
        .await?;
    let functions = rows.into_iter().filter_map(may_not_be_called);
    let mut refused: Vec<String> =
        functions.filter_map(|function| function.unless_listed(&connection.check_functions)).collect();
    refused.dedup();
    // Enough to find out whose they are.
    refused.truncate(5);
    Ok(refused)
}

/// A function that acts, or may.
#[derive(Debug, PartialEq, Eq)]
struct Function {
    /// The name as people write it in CheckFunctions.
    name: String,
    /// The types of the arguments.
    arguments: String,
    /// True if all functions of that name in the schema are one user's.
    has_one_owner: bool,
}

impl Function {
    /// Names the function for people; none where the deployment lists it.
    ///
    /// A name alone is enough as long as one user has made all that bear it: the server chooses among them by their arguments, and
    /// another user's could fit better.
    fn unless_listed(self, listed: &[String]) -> Option<String> {
        let Self { name, arguments, has_one_owner } = self;
        let plain = |arguments: &str| -> Vec<String> {
            arguments.trim_end_matches(')').split(',').map(|argument| argument.trim().to_owned()).collect()
        };
        let is_listed = listed.iter().any(|listed| match listed.split_once('(') {
            None => has_one_owner && *listed == name,
            Some((of_name, of_arguments)) => of_name == name && plain(of_arguments) == plain(&arguments),
        });
        (!is_listed).then(|| match listed.contains(&name) {
            true => format!("{name}({arguments}) (more than one user has made a {name}: list it with its arguments)"),
            false => name,
        })
    }
}

fn may_not_be_called(row: Row) -> Option<Function> {
    let [
        Some(id),
        Some(schema),
        Some(name),
        Some(arguments),
        Some(owners),
        Some(volatility),
        Some(language),
        Some(extension),
    ] = <[_; 8]>::try_from(row).ok()?
    else {
        return None;
    };
    let acts = volatility == "v";
    let is_of_the_system = id.parse::<u32>().is_ok_and(|id| id < FIRST_OF_USERS);
    let is_harmless = if is_of_the_system {
        // A text of SQL is parsed when it runs, with the operators that the path of the login finds: before PostgreSQL 14 the
        // system has such functions, behind views of information_schema too.
        language != "sql"
            && !OF_AWS.iter().any(|begin| name.starts_with(begin))
            && !STABLE_AND_NOT_HARMLESS.contains(&name.as_str())
            && (!acts || VOLATILE_AND_HARMLESS.contains(&name.as_str()))
    } else {
        // Only a superuser, on RDS that is AWS, can make a function in C. That of some extensions runs the SQL that it is given.
        let computes = COMPUTING_EXTENSIONS.contains(&extension.as_str())
            || extension == "postgis" && POSTGIS_COMPUTES.iter().any(|begin| name.starts_with(begin));
        !acts && language == "c" && computes || language == "internal" && volatility == "i"
    };
    let name = if is_of_the_system { name } else { format!("{schema}.{name}") };
    (!is_harmless).then(|| Function { name, arguments, has_one_owner: owners == "1" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_of_the_system_is_harmless_unless_it_runs_a_text_or_is_of_aws() {
        let refused = |name: &str, volatility: &str, language: &str| {
            let row = ["1299", "pg_catalog", name, "text", "1", volatility, language, ""];
            may_not_be_called(row.map(|value| Some(value.to_owned())).to_vec()).is_some()
        };
        assert!(!refused("lower", "i", "internal") && !refused("now", "s", "internal"));
        assert!(!refused("_pg_numeric_precision", "i", "parsed sql") && refused("_pg_numeric_precision", "i", "sql"));
        assert!(refused("aurora_stat_statements", "s", "internal") && refused("rds_tools", "i", "c"));
        assert!(refused("pg_reload_conf", "v", "internal") && refused("schema_to_xmlschema", "s", "internal"));
    }

    #[test]
    fn of_others_that_is_harmless_which_c_of_a_computing_extension_is() {
        let refused = |name: &str, volatility: &str, language: &str, extension: &str| {
            let row = ["20000", "public", name, "text", "1", volatility, language, extension];
            may_not_be_called(row.map(|value| Some(value.to_owned())).to_vec()).is_some()
        };
        assert!(!refused("similarity", "i", "c", "pg_trgm") && !refused("citext_eq", "i", "c", "citext"));
        assert!(!refused("geometry_overlaps", "i", "c", "postgis"));
        assert!(!refused("gserialized_gist_sel_2d", "s", "c", "postgis"));
        // It asks tables of its own, with operators that it finds by the path.
        assert!(refused("st_transform", "i", "c", "postgis") && refused("json", "i", "c", "postgis"));
        assert!(refused("geometry_overlaps", "i", "c", "") && refused("geometry_x", "i", "plpgsql", "postgis"));
        // C that calls what people wrote.
        assert!(refused("f", "i", "pg_tle", "vector") && refused("f", "i", "c", "dblink"));
    }

    #[test]
    fn only_a_column_itself_keeps_a_call_of_an_index_from_being_evaluated() {
        let of = |argument: &str| {
            let tree = format!("({{FUNCEXPR :funcid 20000 :funcresulttype 25 :args ({argument}) :location 7}})");
            let mut named = Named::default();
            named.add(&tree, Part::Planned);
            (named.over_columns.contains(&20_000), named.functions.contains(&20_000))
        };
        let (column, other) =
            ("{VAR :varno 1 :varattno 2}", "{CONST :consttype 25 :constvalue 8 [ 32 0 -1 ] :location -1}");
        let relabelled = format!("{{RELABELTYPE :arg {column} :resulttype 25}}");
        let inner = format!("{{OPEXPR :opno 551 :opfuncid 177 :args ({other} {column})}}");
        for arguments in [column, &relabelled, &format!("{other} {column}"), &format!("{inner} {column}")] {
            assert_eq!(of(arguments), (true, false), "{arguments}");
        }
        for arguments in
            [other, &inner, &format!("{{RELABELTYPE :arg {inner} :resulttype 25}}"), "{CONST :x \\{VAR\\ }"]
        {
            assert_eq!(of(arguments), (false, true), "{arguments}");
        }
        let mut named = Named::default();
        named.add(&inner, Part::Planned);
        assert!(named.operators.contains(&551) && named.functions.contains(&177));
    }

    #[test]
    fn the_numbers_of_a_tree_are_all_but_the_bytes_of_values() {
        let numbers = |tree: &str| {
            let mut named = Named::default();
            named.add(tree, Part::Run);
            named.numbers
        };
        let value = "{CONST :consttype 20001 :constlen -1 :constvalue 5 [ 20 0 0 0 114 ] :location 9}";
        assert_eq!(numbers(value), BTreeSet::from([9, 20_001]));
        assert_eq!(numbers("{CONST :consttype 20001 :constvalue <> :location 9}"), BTreeSet::from([9, 20_001]));
        // A name that looks like the beginning of a value hides nothing.
        assert!(numbers(":resname :constvalue :x 3 [ :vartype 20001 ]").contains(&20_001));
        assert!(numbers(":constvalue 3 [ :vartype 20001 ]").contains(&20_001));
    }

    #[test]
    fn the_type_of_a_column_is_nothing_that_a_value_is_brought_to() {
        let mut named = Named::default();
        named.add(
            "{COERCETODOMAIN :arg {VAR :varattno 2 :vartype 20001 :vartypmod -1} :resulttype 20002 :location 9}",
            Part::Planned,
        );
        assert!(named.made.contains(&20_002) && !named.made.contains(&20_001), "{named:?}");
        assert!(named.numbers.is_superset(&BTreeSet::from([20_001, 20_002])), "{named:?}");
        // A name that looks like the field hides nothing.
        named.add(":resname :vartype :resulttype 20003 :aliasname :vartype :funcid 20004", Part::Run);
        assert!(named.made.contains(&20_003) && named.functions.contains(&20_004), "{named:?}");
    }

    #[test]
    fn a_function_is_listed_by_its_arguments_or_by_a_name_that_one_user_has_given() {
        let refused = |listed: &str, has_one_owner: bool| {
            let function =
                Function { name: "public.f".into(), arguments: "integer, character varying".into(), has_one_owner };
            function.unless_listed(&[listed.to_owned()])
        };
        assert_eq!(refused("public.f", true), None);
        assert!(refused("public.f", false).unwrap().contains("more than one user"));
        for has_one_owner in [true, false] {
            assert_eq!(refused("public.f(integer,character varying)", has_one_owner), None);
            for other in ["public.g", "f", "public.f(integer)", "public.f()", "public.f(integer, text)"] {
                assert_eq!(refused(other, has_one_owner).as_deref(), Some("public.f"), "{other}");
            }
        }
    }
}
