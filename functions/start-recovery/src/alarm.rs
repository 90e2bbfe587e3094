//! Reads a request from the state change of a CloudWatch alarm: the description names the cluster and the time before the mistake,
//! the state has the first bad datapoint.
//!
//! The description is part of the event, so nothing has to be read: `aurora-rewind: my-aurora-cluster 2m`, or, for the other fields
//! of a request, `aurora-rewind: {"cluster": "my-aurora-cluster", "before": "2m", "dns": […]}`.

use crate::refusal::refused;
use jiff::fmt::strtime;
use jiff::{SignedDuration, Timestamp};
use rewind_core::{StepError, parse_duration};
use serde_json::{Map, Value};

const MARK: &str = "aurora-rewind:";
/// The time before the first bad datapoint, if the description has none.
const BEFORE: SignedDuration = SignedDuration::from_mins(1);

/// Makes the request from the `detail` of an alarm's state change.
pub(crate) fn request(detail: &Map<String, Value>) -> Result<Map<String, Value>, StepError> {
    let alarm = detail.get("alarmName").and_then(Value::as_str).unwrap_or("without a name");
    let state = detail.get("state").cloned().unwrap_or_default();
    // The same rule matches the return to OK, which must not start a second recovery.
    if state.get("value").and_then(Value::as_str) != Some("ALARM") {
        return Err(refused(format!("the alarm {alarm} is not in ALARM")).advice("match ALARM alone in the rule"));
    }
    let description = detail.get("configuration").and_then(|c| c.get("description")).and_then(Value::as_str);
    let AlarmRequest { mut request, before } = description
        .and_then(|text| Some(text.split_once(MARK)?.1))
        .ok_or_else(|| "it names no cluster".to_owned())
        .and_then(AlarmRequest::read)
        .map_err(|wrong| refused(format!("the description of the alarm {alarm}: {wrong}")).advice(HELP))?;
    let bad = first_bad_datapoint(&state).ok_or_else(|| {
        refused(format!("the alarm {alarm} does not tell its datapoints, so nobody knows when it went wrong"))
            .advice("start the recovery by hand, or let an alarm on one metric start it")
    })?;
    let to = bad.checked_sub(before).map_err(|e| refused(format!("the alarm {alarm}: {e}")))?;
    request.insert("to".to_owned(), Value::from(to.to_string()));
    // Metrics are wrong sometimes, so an alarm may start a recovery but never approve it.
    request.insert("approval".to_owned(), Value::from("required"));
    Ok(request)
}

const HELP: &str = "write \"aurora-rewind: <cluster> <how long before, such as 2m>\" into it, or a JSON object after \"aurora-rewind:\"";

/// A request in the description of an alarm.
struct AlarmRequest {
    /// The request's fields.
    request: Map<String, Value>,
    /// The time before the first bad datapoint.
    before: SignedDuration,
}

impl AlarmRequest {
    /// Reads what follows the mark.
    fn read(text: &str) -> Result<Self, String> {
        if text.trim_start().starts_with('{') { Self::object(text) } else { Self::words(text) }
    }

    fn words(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let cluster = words.next().ok_or("no cluster follows")?;
        let before = words.next().map_or(Ok(BEFORE), parse_duration)?;
        Ok(Self { request: Map::from_iter([("cluster".to_owned(), Value::from(cluster))]), before })
    }

    fn object(text: &str) -> Result<Self, String> {
        // Text after the object is for people.
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<Map<String, Value>>();
        let mut request =
            values.next().ok_or("no object follows")?.map_err(|e| format!("it is no JSON object: {e}"))?;
        let before = match request.remove("before") {
            None => BEFORE,
            Some(Value::String(text)) => {
                parse_duration(&text).map_err(|wrong| format!("`before` is \"{text}\": {wrong}"))?
            }
            Some(other) => return Err(format!("`before` is {other}: write text, such as \"2m\"")),
        };
        // Two times in one request: whichever won, somebody would be surprised.
        if request.contains_key("to") {
            return Err("`to` cannot be given: it follows from the first bad datapoint and `before`".to_owned());
        }
        Ok(Self { request, before })
    }
}

/// Finds the first of the evaluated datapoints that crossed the threshold; if the alarm does not tell the comparison, the first of
/// all. An earlier moment is the safer error, and a person sees the time before traffic moves.
fn first_bad_datapoint(state: &Value) -> Option<Timestamp> {
    // A composite alarm has no datapoints, and says so by having no such data.
    let data: Value = serde_json::from_str(state.get("reasonData")?.as_str()?).ok()?;
    let threshold = data.get("threshold").and_then(Value::as_f64);
    let comparison = state.get("reason").and_then(Value::as_str).and_then(Comparison::of);
    let crossed = |point: &Value| match (point.get("value").and_then(Value::as_f64), threshold, comparison) {
        (Some(value), Some(threshold), Some(comparison)) => comparison.is_bad(value, threshold),
        // A missing datapoint has no value. Without a comparison every datapoint counts as bad.
        _ => comparison.is_none(),
    };
    let points = data.get("evaluatedDatapoints").and_then(Value::as_array);
    let first = points
        .into_iter()
        .flatten()
        .filter(|point| crossed(point))
        .filter_map(|point| time(point.get("timestamp")?))
        .min();
    first.or_else(|| time(data.get("startDate")?))
}

/// CloudWatch writes an offset without a colon.
fn time(value: &Value) -> Option<Timestamp> {
    let text = value.as_str()?;
    text.parse().ok().or_else(|| strtime::parse("%Y-%m-%dT%H:%M:%S%.f%z", text).ok()?.to_timestamp().ok())
}

/// The comparison of a datapoint with the threshold that puts the alarm into ALARM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Above,
    AtOrAbove,
    Below,
    AtOrBelow,
}

impl Comparison {
    /// Reads it from CloudWatch's sentence of the reason: the event has it nowhere else.
    fn of(reason: &str) -> Option<Self> {
        let comparisons = [
            ("greater than or equal to the threshold", Self::AtOrAbove),
            ("greater than the threshold", Self::Above),
            ("less than or equal to the threshold", Self::AtOrBelow),
            ("less than the threshold", Self::Below),
        ];
        comparisons.into_iter().find(|(words, _)| reason.contains(words)).map(|(_, comparison)| comparison)
    }

    fn is_bad(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::Above => value > threshold,
            Self::AtOrAbove => value >= threshold,
            Self::Below => value < threshold,
            Self::AtOrBelow => value <= threshold,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn detail(description: &str, reason: &str, points: &Value) -> Map<String, Value> {
        let data = json!({
            "version": "1.0", "startDate": "2026-11-23T10:20:00.000+0000", "period": 60, "threshold": 50.0,
            "evaluatedDatapoints": points,
        });
        let detail = json!({
            "alarmName": "rows-gone", "configuration": { "description": description },
            "state": { "value": "ALARM", "reason": reason, "reasonData": data.to_string() },
        });
        detail.as_object().unwrap().clone()
    }

    fn points() -> Value {
        json!([
            { "timestamp": "2026-11-23T10:32:00.000+0000", "value": 3.0 },
            { "timestamp": "2026-11-23T10:31:00.000+0000", "value": 9.0 },
            { "timestamp": "2026-11-23T10:30:00.000+0000", "value": 120.0 },
        ])
    }

    const LESS: &str = "Threshold Crossed: 2 out of the last 3 datapoints [3.0 (23/11/26 10:32:00), 9.0 (23/11/26 10:31:00)] \
                        were less than the threshold (50.0) (minimum 2 datapoints for OK -> ALARM transition).";

    #[test]
    fn the_target_is_before_the_first_bad_datapoint() {
        let cases = [
            ("aurora-rewind: orders", LESS, "2026-11-23T10:30:00Z"),
            ("Rows vanish. aurora-rewind: orders 5m", LESS, "2026-11-23T10:26:00Z"),
            // Nobody says which side is bad: all that was evaluated counts.
            ("aurora-rewind: orders", "Something else", "2026-11-23T10:29:00Z"),
            // None of those told has crossed: when the alarm's window began.
            ("aurora-rewind: orders", "was greater than the threshold", "2026-11-23T10:29:00Z"),
        ];
        for (description, reason, to) in cases {
            let request = request(&detail(description, reason, &points())).unwrap();
            assert_eq!((&request["cluster"], &request["to"]), (&json!("orders"), &json!(to)), "{description} {reason}");
            assert_eq!(request["approval"], json!("required"));
        }
        let none = request(&detail("aurora-rewind: orders", LESS, &json!([]))).unwrap();
        assert_eq!(none["to"], json!("2026-11-23T10:19:00Z"));
    }

    #[test]
    fn an_object_may_hold_all_of_a_request_but_never_that_nobody_is_asked() {
        let description =
            r#"aurora-rewind: {"cluster": "orders", "before": "2m", "approval": "none", "keepSource": "3d"} call ops"#;
        let request = request(&detail(description, LESS, &points())).unwrap();
        let expected =
            json!({ "cluster": "orders", "to": "2026-11-23T10:29:00Z", "approval": "required", "keepSource": "3d" });
        assert_eq!(Value::Object(request), expected);
    }

    #[test]
    fn what_asks_for_nothing_is_refused_with_what_would_be_right() {
        for (description, message) in [
            ("Rows vanish.", "it names no cluster"),
            ("aurora-rewind:", "no cluster follows"),
            ("aurora-rewind: orders 1440", "the unit is missing"),
            (r#"aurora-rewind: {"cluster": "#, "no JSON object"),
            (r#"aurora-rewind: {"cluster": "orders", "to": "5m ago"}"#, "`to` cannot be given"),
            (r#"aurora-rewind: {"cluster": "orders", "before": 2}"#, "`before` is 2"),
        ] {
            let error = request(&detail(description, LESS, &points())).unwrap_err();
            assert!(error.to_string().contains(message), "{error}\nlacks {message}");
            assert!(error.to_string().contains("nothing was started"), "{error}");
        }
        let mut calm = detail("aurora-rewind: orders", LESS, &points());
        calm["state"]["value"] = json!("OK");
        assert!(request(&calm).unwrap_err().to_string().contains("is not in ALARM"));
        calm["state"] = json!({ "value": "ALARM", "reason": "composite" });
        assert!(request(&calm).unwrap_err().to_string().contains("does not tell its datapoints"));
    }
}
