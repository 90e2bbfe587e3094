//! The kind of a statement, from its first word.

/// True if `sql` is of a kind that only reads.
pub(super) fn begins_as_a_query(sql: &str) -> bool {
    reads_tables_alone(sql) || ["SHOW", "EXPLAIN", "DESCRIBE", "DESC"].contains(&first_word(sql).as_str())
}

/// True if `sql` is of a kind that reads the tables that it names and nothing else: SHOW tells what other databases have, and EXPLAIN
/// what other sessions do.
pub(super) fn reads_tables_alone(sql: &str) -> bool {
    ["SELECT", "WITH", "VALUES", "TABLE"].contains(&first_word(sql).as_str())
}

/// The first word of `sql`, in upper case; empty where there is none, or a comment that the server runs comes first.
fn first_word(sql: &str) -> String {
    let mut rest = sql.trim_start();
    loop {
        let comment_ends = match rest {
            // The server runs what stands in a comment of this kind.
            _ if rest.starts_with("/*!") || rest.starts_with("/*M!") => return String::new(),
            // The star that opens it closes none: `/*/` is open.
            _ if rest.starts_with("/*") => {
                rest = rest.get(2..).unwrap_or_default();
                "*/"
            }
            _ if rest.starts_with('#') || rest.starts_with("--") => "\n",
            _ if rest.starts_with('(') => "(",
            _ => break,
        };
        let Some((_, after)) = rest.split_once(comment_ends) else { return String::new() };
        rest = after.trim_start();
    }
    rest.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default().to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_reads_begins_as_a_query() {
        for query in [
            "SELECT 1",
            " select/**/1",
            "-- why\n# and how\n/* oh */ (SELECT 1)",
            "/*/ ANALYZE TABLE t; */ SELECT 1",
            "with a as (select 1) select * from a",
            "((SELECT 1))",
            "SHOW TABLES",
            "VALUES(1)",
        ] {
            assert!(begins_as_a_query(query), "{query}");
        }
        for other in [
            "",
            "-- SELECT 1",
            "/* SELECT 1",
            "/*! SELECT 1 */",
            "/*M!100000 SELECT 1 */",
            "OPTIMIZE TABLE t",
            "/* SELECT */ ANALYZE TABLE t",
            "/*/ SELECT */ OPTIMIZE TABLE t",
            "SET STATEMENT max_statement_time = 0 FOR SELECT 1",
            "SELECTED",
            "CALL p()",
        ] {
            assert!(!begins_as_a_query(other), "{other}");
        }
    }
}
