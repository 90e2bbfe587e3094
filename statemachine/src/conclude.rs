//! How a failure becomes the error and the cause of an execution: one of our names, and a sentence.

use crate::json::{Json, jsonata, object};
use crate::state::State;
use rewind_core::{ErrorName, HIDDEN};

/// Reads the sentence out of the cause that Lambda wraps into JSON, as `$read(failure)`.
///
/// `$parse` of the whole cause would end the execution where Lambda has cut it off, or where a sentence only looks
/// like JSON. So the message alone is cut out and parsed, once it is sure to be a JSON string. Groups of a regular
/// expression would be shorter, and differ between interpreters.
const READ: &str = concat!(
    r#"$read := function($f) { ($c := $type($f.Cause) = 'string' ? "#,
    r#"$replace($f.Cause, /"errorMessage" *: *"/, '"errorMessage":"', 1) : ''; "#,
    r#"$raw := $substring($c, 0, 1) = '{' and $contains($c, '"errorMessage":"') ? "#,
    r#"$substringBefore($replace($replace($substringAfter($c, '"errorMessage":"'), '\\\\', '\u0001'), '\\"', '\u0002'), '"') "#,
    r#": '\u0000'; "#,
    r#"$m := $contains($raw, /[\x00\x03-\x1F]|\x5C(?![\x2Fbfnrt]|u[0-9a-fA-F]{4})/) ? $c "#,
    r#": $parse('"' & $replace($replace($raw, '\u0002', '\\"'), '\u0001', '\\\\') & '"'); "#,
    r#"$m := $length($m) > 0 ? $m : 'no reason was given'; "#,
    r#"$m & ' [' & $f.Error & ' in ' & $f.state & ']') }"#,
);

/// The characters that hide, as a regular expression of JavaScript, whose characters have 16 bits: one beyond is a pair of them.
fn hidden() -> String {
    let unit = |unit: u32| format!("\\u{unit:04X}");
    let (mut single, mut pairs) = (String::new(), String::new());
    for range in HIDDEN {
        let (first, last) = (u32::from(*range.start()), u32::from(*range.end()));
        if last < 0x1_0000 {
            single += &match first == last {
                true => unit(first),
                false => format!("{}-{}", unit(first), unit(last)),
            };
            continue;
        }
        // No range of these begins or ends within the block of a first half, or it is within one.
        let halves =
            |character: u32| (0xD800 + ((character - 0x1_0000) >> 10), 0xDC00 + ((character - 0x1_0000) & 0x3FF));
        let ((high, low), (last_high, last_low)) = (halves(first), halves(last));
        pairs += &format!("|[{}-{}][{}-{}]", unit(high), unit(last_high), unit(low), unit(last_low));
    }
    format!("[{single}]{pairs}")
}

/// An expression in which `$read` makes a sentence of a failure. The text that it makes goes to the table, to events and into mail, so
/// what others chose, such as the comment of whoever rejects, stays on its line in it.
pub(crate) fn explained(expression: &str) -> Json {
    reading(&printable(expression))
}

/// The same, as a part of a longer expression.
pub(crate) fn explained_text(expression: &str) -> String {
    format!("({READ}; {})", printable(expression))
}

/// An expression of any value in which `$read` makes a sentence of a failure; what of it others chose has to be [`printable`].
pub(crate) fn reading(expression: &str) -> Json {
    jsonata(format!("({READ}; {expression})"))
}

/// The list in the variable `list` with one more sentence, in which `$read` makes one of a failure.
pub(crate) fn noted(list: &str, sentence: &str) -> Json {
    jsonata(format!("({READ}; $append(${list}, [{}]))", printable(sentence)))
}

/// An expression of a text that stays on its line and shows all that it holds.
pub(crate) fn printable(expression: &str) -> String {
    format!("$replace(({expression}), /{}/, '?')", hidden())
}

/// The state `ConcludeNothingChanged`: the first failure as a sentence, and what was undone. `kept` is an expression that
/// names what is left.
pub(crate) fn nothing_changed(kept: &str) -> State {
    conclude("ConcludeNothingChanged", "NothingChanged", &failed(kept))
}

/// The state `ConcludeRolledBack`: the same after traffic had moved.
pub(crate) fn rolled_back(kept: &str) -> State {
    conclude("ConcludeRolledBack", "RolledBack", &failed(kept))
}

fn failed(kept: &str) -> String {
    format!(
        "$text := $read($failure) & ($count($undone) > 0 ? '; undone: ' & $join($undone, '; ') : '') & {kept}; \
         $substring($text, 0, 30000)"
    )
}

/// The state `ConcludeNeedsOperator`. `cause` is an expression, in which `$read` makes a sentence of a failure.
pub(crate) fn needs_operator(cause: &str) -> State {
    conclude("ConcludeNeedsOperator", "NeedsOperator", cause)
}

fn conclude(name: &'static str, end: &str, cause: &str) -> State {
    let ending = [("state", end.into()), ("error", error_name()), ("cause", explained(cause))];
    State::pass(name).assign("ending", object(ending))
}

/// The error of an execution: always one of our names, so that people and alarms know what each means. What the
/// platform called it stays in the cause.
pub(crate) fn error_name() -> Json {
    // From the enum itself, so that a name that is added there is not reported as Unavailable.
    let ours: Vec<String> = ErrorName::ALL.iter().map(|name| format!("'{}'", name.as_str())).collect();
    jsonata(format!(
        "$failure.Error in [{}] ? $failure.Error : $failure.Error in ['States.QueryEvaluationError', \
         'States.DataLimitExceeded'] ? 'Bug' : 'Unavailable'",
        ours.join(", ")
    ))
}

/// The end that is recorded and announced. `cause` is an expression.
pub(crate) fn ending(state: &str, error: ErrorName, cause: &str) -> Json {
    object([("state", state.into()), ("error", error.as_str().into()), ("cause", jsonata(cause))])
}
