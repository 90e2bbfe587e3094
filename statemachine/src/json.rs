//! JSON that keeps its order and is formatted to be read: what fits on one line stays on one line.
//!
//! serde_json sorts the fields of a map unless a feature is on that Cargo would switch on for the whole workspace,
//! and then the order of hashed content would depend on what is built together.

/// A line of a definition is no longer than this, unless it is one string.
const LINE: usize = 130;

/// A JSON value whose fields keep the order in which they were declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number: the definitions have no other.
    Number(u64),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Json>),
    /// An object.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Formats the value over several lines, with a newline at the end.
    pub fn pretty(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, 0, 0);
        text.push('\n');
        text
    }

    /// `before` characters stand before the value on its line.
    fn write(&self, text: &mut String, indent: usize, before: usize) {
        let compact = self.compact();
        // The comma that may follow counts.
        if indent + before + compact.chars().count() < LINE {
            text.push_str(&compact);
            return;
        }
        match self {
            Self::List(items) if items.iter().all(|item| matches!(item, Self::Text(_))) => {
                text.push_str("[\n");
                fill(text, items, indent + 2);
                text.push_str(&" ".repeat(indent));
                text.push(']');
            }
            Self::List(items) => {
                text.push_str("[\n");
                for (n, item) in items.iter().enumerate() {
                    text.push_str(&" ".repeat(indent + 2));
                    item.write(text, indent + 2, 0);
                    text.push_str(if n + 1 < items.len() { ",\n" } else { "\n" });
                }
                text.push_str(&" ".repeat(indent));
                text.push(']');
            }
            Self::Object(fields) => {
                text.push_str("{\n");
                for (n, (name, value)) in fields.iter().enumerate() {
                    let name = quoted(name);
                    text.push_str(&" ".repeat(indent + 2));
                    text.push_str(&name);
                    text.push_str(": ");
                    value.write(text, indent + 2, name.chars().count() + 2);
                    text.push_str(if n + 1 < fields.len() { ",\n" } else { "\n" });
                }
                text.push_str(&" ".repeat(indent));
                text.push('}');
            }
            // A single string has no place to break at, and JSON has no continuation lines.
            _ => text.push_str(&compact),
        }
    }

    fn compact(&self) -> String {
        let joined = |parts: Vec<String>| parts.join(", ");
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(yes) => yes.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => quoted(text),
            Self::List(items) => format!("[{}]", joined(items.iter().map(Self::compact).collect())),
            Self::Object(fields) if fields.is_empty() => "{}".to_owned(),
            Self::Object(fields) => {
                let fields = fields.iter().map(|(name, value)| format!("{}: {}", quoted(name), value.compact()));
                format!("{{ {} }}", joined(fields.collect()))
            }
        }
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Json {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Json {
    fn from(yes: bool) -> Self {
        Self::Bool(yes)
    }
}

impl<V: Into<Json>, const N: usize> From<[V; N]> for Json {
    fn from(items: [V; N]) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }
}

/// An object of these fields, in this order.
pub(crate) fn object<'a>(fields: impl IntoIterator<Item = (&'a str, Json)>) -> Json {
    Json::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// The string value of the JSONata expression `source`, as Step Functions evaluates it.
pub(crate) fn jsonata(source: impl AsRef<str>) -> Json {
    Json::Text(format!("{{% {} %}}", source.as_ref()))
}

/// As many strings a line as fit: a list of errors is read at a glance.
fn fill(text: &mut String, items: &[Json], indent: usize) {
    let mut line = String::new();
    for (n, item) in items.iter().enumerate() {
        let item = item.compact() + if n + 1 < items.len() { "," } else { "" };
        if !line.is_empty() && indent + line.chars().count() + item.chars().count() >= LINE {
            text.push_str(&format!("{}{line}\n", " ".repeat(indent)));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&item);
    }
    text.push_str(&format!("{}{line}\n", " ".repeat(indent)));
}

fn quoted(text: &str) -> String {
    // Only the order of fields is ours: escapes are left to the library that gets them right.
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_stays_on_one_line_and_keeps_its_order() {
        let value = object([("b", 1.into()), ("a", ["x", "y"].into()), ("c", object([])), ("d", Json::Null)]);
        assert_eq!(value.pretty(), "{ \"b\": 1, \"a\": [\"x\", \"y\"], \"c\": {}, \"d\": null }\n");
    }

    #[test]
    fn what_does_not_fit_is_broken_at_its_fields() {
        let long = "x".repeat(LINE);
        let value = object([("a", object([("b", long.as_str().into())])), ("c", true.into())]);
        assert_eq!(value.pretty(), format!("{{\n  \"a\": {{\n    \"b\": \"{long}\"\n  }},\n  \"c\": true\n}}\n"));
    }
}
