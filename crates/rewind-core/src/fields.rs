//! Reads a JSON object that a person wrote. It collects every problem, with the path of the field, the value, and what would be
//! right, so that one correction is enough.

use crate::cut::cut;
use crate::error::{ErrorName, StepError};
use crate::names::identifier_problem;
use crate::time::{format_duration, parse_duration};
use jiff::SignedDuration;
use serde_json::{Map, Value};

/// The most problems that one error lists: more than that nobody corrects at once.
const PROBLEMS_MAX: usize = 20;
/// The most bytes of a problem, which may quote what people wrote.
const PROBLEM_MAX: usize = 400;

/// Fields in which null has a meaning of its own.
const MAY_BE_NULL: [&str; 1] = ["expect"];

/// Makes the error for a request from all problems in it.
pub(crate) fn refused(problems: &[String]) -> StepError {
    let mut listed: Vec<String> = problems.iter().take(PROBLEMS_MAX).map(|text| cut(text, PROBLEM_MAX)).collect();
    if let Some(more) = problems.len().checked_sub(PROBLEMS_MAX).filter(|more| *more > 0) {
        listed.push(format!("and {more} more of this kind"));
    }
    StepError::new(ErrorName::InvalidRequest, listed.join("; ")).changed("nothing was changed")
}

/// A JSON object that is being read, and the problems so far.
pub(crate) struct Fields<'a> {
    pub(crate) at: String,
    pub(crate) object: &'a Map<String, Value>,
    pub(crate) problems: Vec<String>,
}

impl<'a> Fields<'a> {
    /// Begins to read a request; `what` describes a right one in the error for a value that is no object.
    pub(crate) fn of(input: &'a Value, what: &str) -> Result<Self, StepError> {
        let wrong = || refused(&[format!("the request is {}: it is {what}", shorten(input))]);
        let object = input.as_object().ok_or_else(wrong)?;
        Ok(Self::at(String::new(), object))
    }

    /// Begins to read the object at `at`, and refuses each null in it.
    // Null can mean "none", "the default" or a variable that was never set. Taken for absent, `"expect": null` made a check that
    // expects nothing, and `"dryRun": null` would start a recovery.
    fn at(at: String, object: &'a Map<String, Value>) -> Self {
        let mut fields = Self { at, object, problems: Vec::new() };
        let nulls = object.iter().filter(|(field, value)| value.is_null() && !MAY_BE_NULL.contains(&field.as_str()));
        for (field, _) in nulls {
            fields.problem(field, "leave it out, or give it a value");
        }
        fields
    }

    pub(crate) fn problem(&mut self, field: &str, wrong: &str) {
        let value = self.object.get(field).map_or_else(|| "missing".to_owned(), shorten);
        self.problems.push(format!("`{}{field}` is {value}: {wrong}", self.at));
    }

    pub(crate) fn here(&mut self, wrong: &str) {
        self.problems.push(format!("`{}`: {wrong}", self.at.trim_end_matches('.')));
    }

    // An unknown field is refused, not ignored: `dry_run` for `dryRun` would start a recovery that was meant as a question.
    pub(crate) fn refuse_unknown(&mut self, known: &[&str]) {
        for field in self.object.keys().filter(|field| !known.contains(&field.as_str())) {
            let near = known.iter().find(|name| is_near(name, field));
            let hint = near.map_or_else(
                || format!("the fields are {}", known.join(", ")),
                |name| format!("`{name}` was meant, perhaps"),
            );
            self.problems.push(format!("`{}{field}` is no field of a request: {hint}", self.at));
        }
    }

    /// A field that may be absent. Null is none either: it was refused when reading began, or has a meaning of its own.
    pub(crate) fn value(&self, field: &str) -> Option<Value> {
        self.object.get(field).filter(|value| !value.is_null()).cloned()
    }

    pub(crate) fn text(&mut self, field: &str) -> Option<String> {
        match self.value(field)? {
            Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
            Value::String(_) => {
                self.problem(field, "it is empty");
                None
            }
            // A number where a duration belongs gets the readings that people had in mind, not a hint about quotes.
            Value::Number(number) if matches!(field, "to" | "approvalTimeout" | "fenceTimeout" | "keepSource") => {
                let wrong = parse_duration(&number.to_string()).err();
                self.problem(field, &wrong.unwrap_or_else(|| "write it as text".to_owned()));
                None
            }
            _ => {
                self.problem(field, "write it as text, in quotes");
                None
            }
        }
    }

    pub(crate) fn required(&mut self, field: &str) -> Option<String> {
        // Only the absence: `text` reports a wrong value, and no field is to be reported twice.
        if !self.object.contains_key(field) {
            self.problem(field, "it is needed");
        }
        self.text(field)
    }

    // Numbers and booleans are taken as text: people write 2 and "2" for the same expectation.
    pub(crate) fn scalar(&mut self, field: &str) -> Option<String> {
        match self.value(field)? {
            Value::String(text) => Some(text),
            value @ (Value::Number(_) | Value::Bool(_)) => Some(value.to_string()),
            _ => {
                self.problem(field, "write a text or a number");
                None
            }
        }
    }

    pub(crate) fn number(&mut self, field: &str) -> Option<f64> {
        let value = self.value(field)?;
        // A number in quotes is one as well: templates and forms send everything as text.
        let number = value.as_f64().or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()));
        // "NaN" and "inf" can be parsed as f64, and no value would ever meet such a bound.
        let number = number.filter(|number| number.is_finite());
        if number.is_none() {
            self.problem(field, "write a number");
        }
        number
    }

    // Only JSON's own booleans: the text "false" would be true in many languages, and this decides whether anything changes.
    pub(crate) fn flag(&mut self, field: &str) -> bool {
        match self.value(field) {
            None => false,
            Some(Value::Bool(flag)) => flag,
            Some(_) => {
                self.problem(field, "write true or false, without quotes");
                false
            }
        }
    }

    pub(crate) fn word<T: Copy>(&mut self, field: &str, default: T, words: &[(&str, T)]) -> T {
        let Some(text) = self.text(field) else { return default };
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return *value;
        }
        // The default that is returned here is never used: with a problem noted the request is refused.
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        self.problem(field, &format!("write {}", known.join(" or ")));
        default
    }

    pub(crate) fn duration(
        &mut self,
        field: &str,
        default: SignedDuration,
        least: SignedDuration,
        most: SignedDuration,
    ) -> SignedDuration {
        let Some(text) = self.text(field) else { return default };
        match parse_duration(&text) {
            Ok(duration) if (least..=most).contains(&duration) => duration,
            Ok(_) => {
                self.problem(field, &format!("it goes from {} to {}", format_duration(least), format_duration(most)));
                default
            }
            Err(wrong) => {
                self.problem(field, &wrong);
                default
            }
        }
    }

    pub(crate) fn check_identifier(&mut self, field: &str, name: Option<&str>) {
        if let Some(wrong) = name.and_then(identifier_problem) {
            self.problem(field, wrong);
        }
    }

    pub(crate) fn list<T>(&mut self, field: &str, read: fn(&mut Fields<'_>) -> Option<T>) -> Vec<T> {
        let items = match self.value(field) {
            None => return Vec::new(),
            Some(Value::Array(items)) => items,
            Some(_) => {
                self.problem(field, "write a list, in [ ]");
                return Vec::new();
            }
        };
        let mut list = Vec::new();
        for (i, item) in items.iter().enumerate() {
            let Some(object) = item.as_object() else {
                self.problems.push(format!(
                    "`{}{field}[{i}]` is {}: write an object, in {{ }}",
                    self.at,
                    shorten(item)
                ));
                continue;
            };
            let mut fields = Fields::at(format!("{}{field}[{i}].", self.at), object);
            let read = read(&mut fields);
            // From every item, not from the first wrong one alone: one correction should be enough.
            self.problems.append(&mut fields.problems);
            list.extend(read);
        }
        list
    }
}

/// Renders a value for a message: as JSON, cut after 60 characters.
fn shorten(value: &Value) -> String {
    let text = value.to_string();
    // By characters and not by bytes: a cut within a character would leave no valid text.
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// True if two field names differ only in case, `-` and `_`, or if one has one more character at its end.
fn is_near(known: &str, written: &str) -> bool {
    let plain = |name: &str| name.chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_ascii_lowercase();
    let (known, written) = (plain(known), plain(written));
    let (long, short) = if known.len() > written.len() { (&known, &written) } else { (&written, &known) };
    // One more character at the end is a plural, the most common slip: `check` for `checks`.
    known == written || (long.len() == short.len() + 1 && long.starts_with(short.as_str()))
}
