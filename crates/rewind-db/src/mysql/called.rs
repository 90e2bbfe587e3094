//! The functions that a query would call and the databases that it would read, from its text and from that of the views that it reads. Nothing of it is run, and nothing
//! is planned, which would run some of them.
//!
//! MySQL shows no tree of a statement, so the text is read as its own lexer reads it. A name before a bracket is a call unless it
//! is a word of the language, and a call has to be one of the functions that are known to act on nothing: what Aurora adds to them
//! acts, and so may what people stored. Some of those functions are the server's own only where the name has no quotes and the bracket
//! is right behind it; written otherwise, what people stored under the name runs.

use super::Version;
use super::beginning::reads_tables_alone;
use super::connection::MysqlConnection;
use super::quote::literal;
use crate::engine::{Connection, Row};
use crate::error::StatementError;
use std::collections::{BTreeMap, BTreeSet};

/// Functions of MySQL that only compute or read, in every version that Aurora has.
const HARMLESS: &str = "abs acos adddate addtime any_value ascii asin atan atan2 avg bin bit_and bit_count bit_length bit_or \
    bit_xor cast ceil ceiling char char_length character_length charset coalesce coercibility collation concat concat_ws \
    connection_id conv convert convert_tz cos cot count crc32 curdate current_date current_time current_timestamp current_user \
    curtime database date date_add date_format date_sub datediff day dayname dayofmonth dayofweek dayofyear degrees elt exp \
    export_set extract field find_in_set floor format from_base64 from_days from_unixtime get_format greatest group_concat hex \
    hour if ifnull inet6_aton inet6_ntoa inet_aton inet_ntoa insert instr interval isnull json_array json_contains \
    json_contains_path json_depth json_extract json_keys json_length json_object json_quote json_search json_type json_unquote \
    json_valid last_day lcase least left length ln localtime localtimestamp locate log log10 log2 lower lpad ltrim make_set \
    makedate maketime max md5 microsecond mid min minute mod month monthname now nullif oct octet_length ord period_add \
    period_diff pi point position pow power quarter quote radians rand repeat replace reverse right round rpad rtrim schema \
    sec_to_time second session_user sha sha1 sha2 sign sin sleep soundex space sqrt st_astext st_asgeojson st_distance st_x st_y \
    std stddev stddev_pop stddev_samp str_to_date strcmp subdate substr substring substring_index subtime sum sysdate \
    system_user tan time time_format time_to_sec timediff timestamp timestampadd timestampdiff to_base64 to_days to_seconds trim \
    truncate ucase unhex unix_timestamp upper user utc_date utc_time utc_timestamp uuid var_pop var_samp variance version week \
    weekday weekofyear weight_string year yearweek";

/// Those that came later, each with the version that has it: before that, a function which people stored under the name would run.
const HARMLESS_SINCE: &[(Version, &str)] = &[
    ((5, 7, 22), "json_arrayagg json_objectagg json_pretty"),
    (
        (8, 0, 0),
        "bin_to_uuid cume_dist current_role dense_rank first_value grouping is_uuid lag last_value lead nth_value ntile percent_rank \
         rank regexp_instr regexp_like regexp_replace regexp_substr row_number uuid_to_bin",
    ),
    ((8, 0, 16), "format_bytes"),
    ((8, 0, 17), "json_overlaps"),
    ((8, 0, 21), "json_value"),
];

/// Words of the language that may stand before a bracket, and types with a length, in every version that Aurora has.
const WORDS: &str = "against all and any as between binary bigint by case char columns cross decimal distinct div double else \
    end escape exists float from full group having in index inner int is join key left like limit match mod natural nchar not \
    numeric offset on or order outer partition real regexp right rlike row rows select some straight_join table then union \
    unsigned using values varbinary varchar when where with xor";

/// Those that came later: before that, each is a name like any other.
const WORDS_SINCE: &[(Version, &str)] =
    &[((8, 0, 0), "except json_table of over window"), ((8, 0, 14), "lateral"), ((8, 0, 31), "intersect")];

/// True if `word` is in `list`, or in one of the lists that `version` has besides.
fn is_known(word: &str, version: Version, list: &str, later: &[(Version, &str)]) -> bool {
    let later = later.iter().filter(|(since, _)| version >= *since).map(|(_, list)| *list);
    std::iter::once(list).chain(later).flat_map(str::split_whitespace).any(|known| word.eq_ignore_ascii_case(known))
}

/// The names of a query, as its lexer sees them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Names {
    /// Every name and word, without its quotes.
    all: BTreeSet<String>,
    /// The names before a dot, in which databases are.
    qualifiers: BTreeSet<String>,
    /// The words that are not quoted, in lower case, and the word behind a number that stands right before it: `1e5INTO` is two.
    words: BTreeSet<String>,
    /// True if it locks the rows that it reads: until a check has ended, they could not be written.
    locks: bool,
    /// The calls, with their schema where it is written.
    calls: BTreeSet<Vec<String>>,
    /// True if there is a comment that the server runs, or takes its limits from.
    hides: bool,
}

/// The reason why `sql` must not run, or none.
pub(super) async fn denial(connection: &MysqlConnection, sql: &str) -> Result<Option<String>, StatementError> {
    let mode = connection.values("SELECT @@SESSION.sql_mode").await?;
    // With ANSI_QUOTES a name stands between double quotes, in which a backslash is a character like any other.
    if mode.iter().any(|mode| mode.contains("ANSI_QUOTES")) && sql.contains('\\') {
        return Ok(Some("it has a backslash, which ANSI_QUOTES makes ambiguous: write it without".to_owned()));
    }
    let escapes = !mode.iter().any(|mode| mode.contains("NO_BACKSLASH_ESCAPES"));
    if !connection.open_to_checks.are_all() && !reads_tables_alone(sql) {
        let why = "this deployment does not open every database to checks (parameter CheckDatabases), and so each begins with SELECT, \
                   WITH, VALUES or TABLE";
        return Ok(Some(why.to_owned()));
    }
    let (mut unread, mut seen) = (vec![(sql.to_owned(), escapes)], BTreeSet::new());
    let mut refused = BTreeSet::new();
    while let Some((text, escapes)) = unread.pop() {
        let names = Names::read(&text, escapes, connection.version);
        if names.hides {
            return Ok(Some("it has a comment that the server follows (`/*!` or `/*+`): write it without".to_owned()));
        }
        if names.words.contains("into") {
            return Ok(Some("it has INTO: a check answers its value, and puts it nowhere".to_owned()));
        }
        if names.locks {
            return Ok(Some(
                "it locks what it reads (FOR UPDATE, FOR SHARE or LOCK IN SHARE MODE), and writes would wait for the check: leave that \
                 out, for it reads one moment anyhow; a name such as update or lock is written in backticks"
                    .to_owned(),
            ));
        }
        refused.extend(names.calls.iter().filter(|call| !connection.may_call(call)).map(|call| call.join(".")));
        if let Some(database) = closed_database(connection, &names.qualifiers).await? {
            return Ok(Some(format!(
                "it reads the database {database}, or calls a table so, and this deployment opens that to no check: ask another, or \
                 change the stack's parameter CheckDatabases"
            )));
        }
        for view in views_among(connection, &names).await? {
            if view.is_empty() {
                return Ok(Some("it may read a view whose text cannot be read: grant SHOW VIEW on it".to_owned()));
            }
            if seen.insert(view.clone()) {
                // Whatever the session's mode is, the server reads the text of a view with backslashes that escape.
                unread.push((view, true));
            }
        }
    }
    let refused: Vec<String> = refused.into_iter().take(5).collect();
    Ok((!refused.is_empty()).then(|| crate::read_only::calls_what_it_may_not(&refused)))
}

/// The views of `schema` whose reading may act, by the names of their own and of the views behind them, each with the reason.
pub(super) async fn acting_views(
    connection: &MysqlConnection,
    schema: &str,
) -> Result<BTreeMap<String, String>, StatementError> {
    let rows = connection
        .rows(&format!(
            "SELECT table_name, view_definition FROM information_schema.views WHERE table_schema = {} ORDER BY 1",
            literal(schema)
        ))
        .await?;
    let mut acting = BTreeMap::new();
    for row in rows {
        let [Some(view), text] = <[_; 2]>::try_from(row).unwrap_or_default() else { continue };
        if let Some(why) = act_of(connection, text.unwrap_or_default()).await? {
            acting.insert(view, why);
        }
    }
    Ok(acting)
}

/// The reason why reading the view of this text may act; none where it reads and computes alone.
async fn act_of(connection: &MysqlConnection, view: String) -> Result<Option<String>, StatementError> {
    let (mut unread, mut seen) = (vec![view], BTreeSet::new());
    while let Some(text) = unread.pop() {
        if text.is_empty() {
            return Ok(Some("a text that cannot be read".to_owned()));
        }
        let names = Names::read(&text, true, connection.version);
        if names.hides {
            return Ok(Some("it has a comment that the server follows".to_owned()));
        }
        if names.locks {
            return Ok(Some("it locks what it reads".to_owned()));
        }
        if let Some(call) = names.calls.iter().find(|call| !connection.may_call(call)) {
            return Ok(Some(format!("it calls {}", call.join("."))));
        }
        for view in views_among(connection, &names).await? {
            if seen.insert(view.clone()) {
                unread.push(view);
            }
        }
    }
    Ok(None)
}

impl MysqlConnection {
    fn may_call(&self, call: &[String]) -> bool {
        let is_harmless = match call {
            [name] => is_known(name, self.version, HARMLESS, HARMLESS_SINCE),
            _ => false,
        };
        is_harmless || self.check_functions.contains(&call.join("."))
    }
}

/// Schemas of the server's own, some of which it may not list.
const SYSTEM: [&str; 4] = ["information_schema", "mysql", "performance_schema", "sys"];

/// The accounts of the server and of RDS, whose views in its own schemas call what the server has.
const SERVERS_OWN: &str = "'mysql.sys@localhost', 'mariadb.sys@localhost', 'rdsadmin@localhost'";

/// A database that is not open to checks, among the names before a dot and the one that the session is in; none where all are open.
///
/// A session reaches every database of the server. Where the server does not tell cases apart, neither do the names here.
async fn closed_database(
    connection: &MysqlConnection,
    qualifiers: &BTreeSet<String>,
) -> Result<Option<String>, StatementError> {
    let open = &connection.open_to_checks;
    if open.are_all() {
        return Ok(None);
    }
    let found = connection
        .values(&format!(
            "SELECT schema_name FROM information_schema.schemata WHERE schema_name = DATABASE() OR {}",
            is_among("schema_name", qualifiers)
        ))
        .await?;
    let of_the_server =
        SYSTEM.into_iter().filter(|schema| qualifiers.iter().any(|name| name.eq_ignore_ascii_case(schema)));
    Ok(found.into_iter().chain(of_the_server.map(ToOwned::to_owned)).find(|database| !open.has(database)))
}

/// The text of the views that bear one of the names, in the session's database and in those that stand before a dot.
async fn views_among(connection: &MysqlConnection, names: &Names) -> Result<Vec<String>, StatementError> {
    let rows = connection
        .rows(&format!(
            "SELECT view_definition FROM information_schema.views WHERE {} AND (table_schema = DATABASE() OR {}) \
             AND NOT (table_schema IN ('mysql', 'sys') AND definer IN ({SERVERS_OWN}))",
            is_among("table_name", &names.all),
            is_among("table_schema", &names.qualifiers)
        ))
        .await?;
    let read = |row: Row| row.into_iter().next().flatten().unwrap_or_default();
    Ok(rows.into_iter().map(read).collect())
}

/// The condition that a name of the catalogue is one of these, whatever the case: servers differ in whether it counts.
fn is_among(column: &str, names: &BTreeSet<String>) -> String {
    let names: Vec<String> = names.iter().map(|name| literal(name)).collect();
    match names.is_empty() {
        true => "FALSE".to_owned(),
        false => format!("CONVERT({column} USING utf8mb4) COLLATE utf8mb4_general_ci IN ({})", names.join(", ")),
    }
}

impl Names {
    /// Reads `sql` as the lexer of that version does; `escapes` is false where a backslash in a text is a character like any other.
    fn read(sql: &str, escapes: bool, version: Version) -> Self {
        let mut names = Self::default();
        let mut rest = sql;
        let mut name = Name::default();
        while let Some(next) = rest.chars().next() {
            let length = match next {
                _ if ["/*!", "/*M!", "/*+"].iter().any(|begin| rest.starts_with(begin)) => {
                    names.hides = true;
                    return names;
                }
                _ if rest.starts_with("/*") => name.parted_by(end_of_comment(rest)),
                '#' => name.parted_by(end_of(rest, "\n")),
                '-' if is_dash_comment(rest) => name.parted_by(end_of(rest, "\n")),
                _ if next.is_ascii_whitespace() || next.is_ascii_control() => name.parted_by(1),
                '`' | '\'' | '"' => {
                    let (length, text) = quoted(rest, next, escapes);
                    // With ANSI_QUOTES a name stands between these too: read as both, it cannot be hidden.
                    let is_name = next != '\'';
                    names.take(&mut name, is_name.then_some((text, false)));
                    length
                }
                _ if is_of_a_word(next) => {
                    let length = rest.find(|c: char| !is_of_a_word(c)).unwrap_or(rest.len());
                    let word = rest.get(..length).unwrap_or_default().to_owned();
                    names.take(&mut name, Some((word, true)));
                    length
                }
                '.' => {
                    if let [(first, _)] = name.parts.as_slice() {
                        names.qualifiers.insert(first.clone());
                    }
                    name.joined = true;
                    1
                }
                '(' => {
                    names.called(&std::mem::take(&mut name), version);
                    1
                }
                _ => {
                    name = Name::default();
                    next.len_utf8()
                }
            };
            rest = rest.get(length.max(1)..).unwrap_or_default();
        }
        names
    }

    fn take(&mut self, name: &mut Name, part: Option<(String, bool)>) {
        let Some((text, is_word)) = part else { return *name = Name::default() };
        if !std::mem::take(&mut name.joined) {
            name.after = std::mem::take(&mut name.parts).pop();
        }
        self.all.insert(text.clone());
        if is_word {
            let after_for =
                matches!(&name.after, Some((word, true)) if behind_number(word).eq_ignore_ascii_case("for"));
            // These two are words of the language wherever they have no quotes; `share` may be a column as well.
            let word = behind_number(&text).to_ascii_lowercase();
            self.locks |= matches!(word.as_str(), "update" | "lock") || after_for && word == "share";
            self.words.extend([word, text.to_ascii_lowercase()]);
        }
        name.parts.push((text, is_word));
        name.parted = false;
    }

    fn called(&mut self, Name { parts, after, parted, .. }: &Name, version: Version) {
        // A table with names for its columns, in the list of WITH or as an alias, is no call.
        let is_table = matches!(after, Some((word, true)) if is_known(word, version, "with recursive as", &[]));
        let is_language = is_table
            || match parts.as_slice() {
                [] => true,
                [(word, true)] => is_known(word, version, WORDS, WORDS_SINCE),
                _ => false,
            };
        // A word before a bracket that is a number: a part of an expression.
        let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
        let is_number = matches!(parts.as_slice(), [(text, true)] if digits(text));
        if is_language || is_number {
            return;
        }
        self.calls.insert(match parts.as_slice() {
            [(name, is_word)] if (*parted || !is_word) && is_known(name, version, HARMLESS, HARMLESS_SINCE) => {
                vec![format!("{name} (written with quotes, or apart from its bracket)")]
            }
            parts => parts.iter().map(|(text, _)| text.clone()).collect(),
        });
    }
}

/// The name that stands before what is read next.
#[derive(Debug, Default)]
struct Name {
    /// The parts, and whether each is a word without quotes.
    parts: Vec<(String, bool)>,
    /// True if a dot follows them.
    joined: bool,
    /// True if a blank or a comment follows them.
    parted: bool,
    /// The part of another name that stands right before it.
    after: Option<(String, bool)>,
}

impl Name {
    /// Notes that what is so long stands behind the name, and returns the length.
    fn parted_by(&mut self, length: usize) -> usize {
        self.parted = true;
        length
    }
}

/// The rest of a word behind the number that it begins with: the server parts `1e5FOR` where the number ends.
fn behind_number(word: &str) -> &str {
    let digits = |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let whole = digits(word);
    let rest = word.get(whole..).unwrap_or_default();
    let exponent = match rest.strip_prefix(['e', 'E']) {
        Some(power) if whole > 0 && digits(power) > 0 => digits(power).saturating_add(1),
        _ => 0,
    };
    rest.get(exponent..).unwrap_or_default()
}

fn is_of_a_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '$') || !character.is_ascii()
}

/// Two dashes begin a comment only before a space: `1--1` is a number.
fn is_dash_comment(rest: &str) -> bool {
    let mut after = rest.chars().skip(2);
    rest.starts_with("--") && after.next().is_none_or(|c| c.is_ascii_whitespace() || c.is_ascii_control())
}

/// The length of the comment at the start of `rest`. The star that opens it closes none: `/*/` is open.
fn end_of_comment(rest: &str) -> usize {
    let opened = "/*".len();
    opened + end_of(rest.get(opened..).unwrap_or_default(), "*/")
}

fn end_of(rest: &str, end: &str) -> usize {
    rest.find(end).map_or(rest.len(), |at| at + end.len())
}

/// The length of the quoted text at the start of `rest`, and the text.
///
/// A backslash takes the next character with it, except in a name. Where the server is told to take it for itself
/// (`NO_BACKSLASH_ESCAPES`) a text ends earlier.
fn quoted(rest: &str, quote: char, escapes: bool) -> (usize, String) {
    let mut text = String::new();
    let mut characters = rest.char_indices().skip(1).peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' if escapes && quote != '`' => {
                characters.next();
            }
            _ if character == quote => {
                if characters.next_if(|(_, next)| *next == quote).is_none() {
                    return (at + character.len_utf8(), text);
                }
                text.push(quote);
            }
            _ => text.push(character),
        }
    }
    (rest.len(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: Version = (8, 0, 36);

    fn calls(sql: &str) -> Vec<String> {
        Names::read(sql, true, NEW).calls.iter().map(|call| call.join(".")).collect()
    }

    #[test]
    fn every_call_is_found_however_it_is_written() {
        for (sql, found) in [
            ("SELECT lambda_sync('a', 'b')", "lambda_sync"),
            ("SELECT `shop`.`f`(1)", "shop.f"),
            ("SELECT shop . f (1)", "shop.f"),
            ("SELECT f/* so */(1)", "f"),
            ("SELECT f -- so\n (1)", "f"),
            ("SELECT \"f\"(1)", "f"),
            ("SELECT 'it''s \\' f(' , g(1)", "g"),
            ("SELECT 1--f(1)", "f"),
            ("SELECT 1--\u{a0}+f(1)", "f"),
            ("SELECT `1`(2)", "1"),
            ("SELECT (SELECT \u{e9}t\u{e9}(1))", "\u{e9}t\u{e9}"),
            // The star that opens a comment closes none.
            ("SELECT /*/ ' */ lambda_sync('a') /* ' */", "lambda_sync"),
            ("SELECT /*/*/ f(1)", "f"),
            ("SELECT /**/ f(1)", "f"),
        ] {
            assert_eq!(calls(sql), [found], "{sql}");
        }
        for followed in ["/*!50000 f(1) */ 1", "/*M! 1 */ 1", "/*+ MAX_EXECUTION_TIME(4294967295) */ 1"] {
            assert!(Names::read(&format!("SELECT {followed}"), true, NEW).hides, "{followed}");
        }
    }

    #[test]
    fn a_function_is_the_servers_own_only_where_its_name_is_plain() {
        for sql in ["max (id)", "`max`(id)", "max/* so */(id)", "max\n(id)", "\"left\"('a', 1)", "coalesce -- so\n (1)"]
        {
            let found = calls(&format!("SELECT {sql} FROM t"));
            assert!(found.len() == 1 && found[0].contains("apart from its bracket"), "{sql}: {found:?}");
        }
        for sql in [
            "max(id)",
            "left('a', 1)",
            "coalesce( 1 )",
            "count(*) FROM t WHERE id IN (1) AND (1)",
            "cast(1 AS char (5))",
            "left ('a', 1)",
        ] {
            assert!(!calls(&format!("SELECT {sql}")).join("").contains("apart"), "{sql}");
        }
    }

    #[test]
    fn every_name_before_a_dot_is_seen_as_a_database() {
        let of = |sql: &str| -> Vec<String> { Names::read(sql, true, NEW).qualifiers.into_iter().collect() };
        for sql in [
            "SELECT 1 FROM billing.cards",
            "TABLE billing . cards",
            "SELECT 1 FROM `billing`.`cards`",
            "SELECT 1 FROM \"billing\".cards",
            "SELECT 1 FROM billing/* so */./* so */cards",
            "SELECT 1 FROM billing -- so\n .cards",
            "SELECT 1 FROM(billing.cards)",
            "SELECT (SELECT 1 FROM {OJ billing.cards})",
        ] {
            assert_eq!(of(sql), ["billing"], "{sql}");
        }
        assert_eq!(of("SELECT o.id FROM orders o WHERE 'billing.cards' = ''"), ["o"]);
        assert_eq!(of("SELECT billing, cards FROM orders -- billing.cards"), [""; 0]);
    }

    #[test]
    fn the_language_itself_is_no_call() {
        for sql in [
            "SELECT (1) FROM t WHERE a IN (1, 2) AND EXISTS (SELECT 1) OR b = '/*! f(1) */' -- f(1)",
            "WITH x (a) AS (SELECT 1) SELECT 2 * (3) FROM x AS z (b) JOIN y USING (id)",
            "SELECT 'f(1)' # g(1)",
        ] {
            assert_eq!(calls(sql), Vec::<String>::new(), "{sql}");
        }
        assert!(Names::read("SELECT 1 INTO OUTFILE 'x'", true, NEW).words.contains("into"));
        // Where a backslash is a character like any other, the text ends before the call.
        assert_eq!(calls(r"SELECT 'a\', f(1), 'b'"), Vec::<String>::new());
        assert_eq!(Names::read(r"SELECT 'a\', f(1), 'b'", false, NEW).calls.len(), 1);
        assert!(!Names::read("SELECT `into`", true, NEW).words.contains("into"));
        // The text of a view as the server stores it, read with and without the mode of the session.
        let view = r"select '\'' AS `a`,`shop`.`act`() AS `b`,'\'' AS `c`";
        assert_eq!(calls(view), ["shop.act"]);
        assert!(Names::read(view, false, NEW).calls.is_empty());
    }

    #[test]
    fn whatever_locks_the_rows_that_it_reads_is_found() {
        for sql in [
            "SELECT count(*) FROM t FOR UPDATE",
            "SELECT count(*) FROM t for/* so */update SKIP LOCKED",
            "SELECT count(*) FROM t FOR SHARE",
            "SELECT count(*) FROM t WHERE id > 1 FOR -- so\n SHARE OF t NOWAIT",
            "SELECT count(*) FROM t LOCK IN SHARE MODE",
            "SELECT count(*) FROM t WHERE word = 'a'FOR SHARE",
            "SELECT count(*) FROM t WHERE id > 1e5FOR SHARE",
            "SELECT count(*) FROM t WHERE id > 1.5FOR SHARE",
            "SELECT count(*) FROM t WHERE id > .5e+1FOR UPDATE",
            "SELECT count(*) FROM t WHERE id > 1.FOR SHARE",
            "SELECT count(*) FROM t WHERE id > 0 ORDER BY 1LOCK IN SHARE MODE",
            "SELECT count(*) FROM (SELECT 1 FROM t FOR SHARE) a",
        ] {
            assert!(Names::read(sql, true, NEW).locks, "{sql}");
        }
        for sql in [
            "SELECT share FROM t WHERE `lock` = 'FOR SHARE' AND `update` = 1 -- FOR UPDATE",
            "SELECT substring(word FROM 1 FOR 2) AS share FROM t",
            "SELECT updated, locked, 2fa_lock FROM t",
        ] {
            assert!(!Names::read(sql, true, NEW).locks, "{sql}");
        }
        assert!(Names::read("SELECT 1e5INTO OUTFILE 'x'", true, NEW).words.contains("into"));
    }

    #[test]
    fn a_name_that_a_version_does_not_have_is_a_function_that_people_stored() {
        const AURORA_2: Version = (5, 7, 12);
        let refused = |sql: &str, version: Version| -> Vec<String> {
            let calls = Names::read(sql, true, version).calls.into_iter().flatten();
            calls.filter(|name| !is_known(name, version, HARMLESS, HARMLESS_SINCE)).collect()
        };
        for sql in [
            "SELECT regexp_like(word, 'a') FROM t",
            "SELECT RANK() FROM t",
            "SELECT row_number() FROM t",
            "SELECT json_value(a, '$') FROM t",
            "SELECT json_pretty(a) FROM t",
            "SELECT json_table(1)",
            "SELECT lateral(1)",
            "SELECT over(1)",
            "SELECT except(1)",
            "SELECT uuid_to_bin(a) FROM t",
        ] {
            assert_eq!(refused(sql, AURORA_2).len(), 1, "{sql}");
            assert_eq!(refused(sql, NEW), [""; 0], "{sql}");
        }
        assert_eq!(refused("SELECT intersect(1)", (8, 0, 28)), ["intersect"]);
        for sql in ["SELECT count(*), md5(concat(a, 'b')) FROM t WHERE a IN (1)", "SELECT json_extract(a, '$') FROM t"]
        {
            assert_eq!(refused(sql, AURORA_2), [""; 0], "{sql}");
        }
    }
}
