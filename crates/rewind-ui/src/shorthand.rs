//! The shorthand for checks and records: one line each, as people type them in a terminal and in chat.

use serde_json::{Value, json};

/// The most characters of a check's name that is made from its SQL.
const NAME_MAX: usize = 60;

/// Parses `[name] database: SQL => expected`, where `expected` may begin with `at least` or `at most`, or be `is null`.
pub(crate) fn parse_check(text: &str) -> Result<Value, String> {
    let wrong = |what: &str| {
        format!(
            "the check \"{text}\" has no {what}: write \"database: SQL => 2\", or \"=> at least 2\", \"=> at most 2\", \
             \"=> is null\""
        )
    };
    let (named, rest) = match text.trim().strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, rest)) => (Some(name.trim()), rest),
        None => (None, text),
    };
    // The last arrow separates, not the first: PostgreSQL's named arguments have one too, `f(a => 1)`.
    let (query, expected) = rest.rsplit_once("=>").ok_or_else(|| wrong("=> with what is expected"))?;
    let (database, sql) = query.split_once(':').ok_or_else(|| wrong("database"))?;
    let (database, sql, expected) = (database.trim(), sql.trim(), expected.trim());
    for (part, what) in [(database, "database"), (sql, "SQL"), (expected, "expected value")] {
        if part.is_empty() {
            return Err(wrong(what));
        }
    }
    // The report needs a name for each check, and the query is what people recognise.
    let name = named.filter(|name| !name.is_empty()).map_or_else(|| short(sql), ToOwned::to_owned);
    let (field, value) = match (expected.strip_prefix("at least "), expected.strip_prefix("at most ")) {
        (Some(bound), _) => ("atLeast", number(bound).ok_or_else(|| wrong("number after \"at least\""))?),
        (_, Some(bound)) => ("atMost", number(bound).ok_or_else(|| wrong("number after \"at most\""))?),
        // Two words, because `null` alone may be a text that somebody expects.
        _ if expected.eq_ignore_ascii_case("is null") => ("expect", Value::Null),
        _ => ("expect", Value::from(expected)),
    };
    Ok(json!({ "name": name, "database": database, "sql": sql, field: value }))
}

/// Parses `ZONE:NAME`, with `:writer` or `:reader` behind it.
pub(crate) fn parse_record(text: &str) -> Result<Value, String> {
    let parts: Vec<&str> = text.split(':').map(str::trim).collect();
    let (zone, name, endpoint) = match parts.as_slice() {
        // Without a word the record keeps the kind of endpoint that it leads to.
        [zone, name] => return Ok(json!({ "hostedZoneId": zone, "name": name })),
        [zone, name, endpoint] => (zone, name, *endpoint),
        _ => {
            return Err(format!(
                "the record \"{text}\" is not ZONE:NAME: write Z0123:db.example.com, or Z0123:ro.example.com:reader"
            ));
        }
    };
    Ok(json!({ "hostedZoneId": zone, "name": name, "endpoint": endpoint }))
}

fn number(text: &str) -> Option<Value> {
    // `inf` and `nan` can be parsed as f64, and JSON has neither.
    let number: f64 = text.trim().parse().ok()?;
    number.is_finite().then(|| Value::from(number))
}

fn short(sql: &str) -> String {
    // By characters: SQL holds any text, and a cut within one would leave no valid name.
    match sql.char_indices().nth(NAME_MAX) {
        Some((end, _)) => format!("{}…", sql.get(..end).unwrap_or_default().trim_end()),
        None => sql.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sql_may_hold_colons_arrows_and_comparisons() {
        let check = parse_check("shop: SELECT f(a => 1) FROM t WHERE x::int >= 2 => at most 7").unwrap();
        assert_eq!(check["sql"], "SELECT f(a => 1) FROM t WHERE x::int >= 2");
        assert_eq!(check["atMost"], 7.0);
    }

    #[test]
    fn null_is_expected_in_two_words_and_a_text_in_one() {
        for (text, expected) in [("is null", Value::Null), ("IS NULL", Value::Null), ("null", Value::from("null"))] {
            assert_eq!(parse_check(&format!("d: SELECT 1 => {text}")).unwrap()["expect"], expected);
        }
        assert!(parse_check("d: SELECT 1 => is null").unwrap().as_object().unwrap().contains_key("expect"));
    }

    #[test]
    fn a_check_without_a_name_is_named_after_its_query() {
        assert_eq!(parse_check("d: SELECT 1 => 1").unwrap()["name"], "SELECT 1");
        let long = format!("d: SELECT {} => 1", "x".repeat(100));
        assert_eq!(parse_check(&long).unwrap()["name"].as_str().unwrap().chars().count(), NAME_MAX + 1);
    }

    #[test]
    fn a_missing_part_is_named() {
        for (text, what) in [
            ("d: SELECT 1", "no => with"),
            ("SELECT 1 => 1", "no database"),
            (": SELECT 1 => 1", "no database"),
            ("d: => 1", "no SQL"),
            ("d: SELECT 1 =>", "no expected value"),
            ("d: SELECT 1 => at least many", "no number after \"at least\""),
        ] {
            let error = parse_check(text).unwrap_err();
            assert!(error.contains(what), "{error}\nlacks {what}");
        }
        assert!(parse_record("db.example.com").unwrap_err().contains("ZONE:NAME"));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parsers_panic(text in "\\PC*") {
            let _ = parse_check(&text);
            let _ = parse_record(&text);
        }
    }
}
