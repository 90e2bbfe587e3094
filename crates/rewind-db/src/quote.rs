//! Names and texts of a database, written so that they can stand in SQL. It never builds a statement.

/// A name of MySQL's, whatever `sql_mode` is set to.
pub(crate) fn mysql_identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A text of MySQL's: written in hexadecimal it means the same in every `sql_mode`.
pub(crate) fn mysql_literal(text: &str) -> String {
    format!("_utf8mb4 x'{}'", text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// A name of PostgreSQL's, such as a database's or a role's.
pub(crate) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text of PostgreSQL's, whatever `standard_conforming_strings` is set to.
pub(crate) fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') { format!(" E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_backslashes_do_not_end_a_name_or_a_text() {
        assert_eq!(mysql_identifier("a`b; DROP"), "`a``b; DROP`");
        assert_eq!(mysql_literal("it's"), "_utf8mb4 x'69742773'");
        assert_eq!(identifier("a\"b; DROP"), "\"a\"\"b; DROP\"");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("\\'"), " E'\\\\'''");
    }
}
