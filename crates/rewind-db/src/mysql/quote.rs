//! Names and texts of MySQL, written so that they can stand in SQL. It never builds a statement.

/// A name, whatever `sql_mode` is set to.
pub(super) fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A text: written in hexadecimal it means the same in every `sql_mode`.
pub(super) fn literal(text: &str) -> String {
    format!("_utf8mb4 x'{}'", text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_backslashes_do_not_end_a_name_or_a_text() {
        assert_eq!(identifier("a`b; DROP"), "`a``b; DROP`");
        assert_eq!(literal("it's"), "_utf8mb4 x'69742773'");
    }
}
