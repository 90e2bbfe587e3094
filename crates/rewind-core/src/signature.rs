//! The signature of a plan: what of it is signed, and the ports of whoever signs and verifies. It knows no key.

use crate::error::StepError;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// The SHA-256 of a JSON value: [`json_digest`].
pub type JsonDigest = [u8; 32];

/// The fields of a plan that are not signed: the signature itself, and the findings, which the state machine adds after the
/// preflight and which are only text for people.
const UNSIGNED: [&str; 2] = ["signature", "findings"];

/// Signs plans.
pub trait SignPlans: Send + Sync {
    /// Returns the signature of a plan with this digest.
    fn sign_plan(&self, digest: &JsonDigest) -> impl Future<Output = Result<String, StepError>> + Send;
}

/// Verifies signatures of plans.
pub trait VerifyPlans: Send + Sync {
    /// True if the signature is that of a plan with this digest.
    fn verify_plan(&self, digest: &JsonDigest, signature: &str)
    -> impl Future<Output = Result<bool, StepError>> + Send;
}

/// Computes the digest of a plan that is signed: of all its fields, also of those that this version does not know, but for the
/// signature and the findings.
pub fn plan_digest(plan: &Value) -> JsonDigest {
    let mut signed = plan.clone();
    if let Value::Object(fields) = &mut signed {
        fields.retain(|name, _| !UNSIGNED.contains(&name.as_str()));
    }
    json_digest("aurora-rewind plan 1", &signed)
}

/// Computes the digest of a value for one purpose. Values that differ only in the order of keys, or in how a number is written,
/// have the same.
pub fn json_digest(purpose: &str, value: &Value) -> JsonDigest {
    let mut text = format!("{purpose}\n");
    write_canonical(value, &mut text);
    Sha256::digest(text.as_bytes()).into()
}

fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_unstable_by_key(|(name, _)| *name);
            text.push('{');
            for (name, value) in sorted {
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                write_canonical(value, text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                write_canonical(item, text);
                text.push(',');
            }
            text.push(']');
        }
        // JSONata has no integers, and writes no more than 15 digits: the plan in the table was written by it.
        Value::Number(number) => {
            // Writing to a String cannot fail.
            let _ = write!(text, "{:.14e}", number.as_f64().unwrap_or(f64::NAN));
        }
        other => text.push_str(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_field_of_a_plan_is_signed_but_those_that_are_added_later() {
        let plan = json!({ "cluster": "orders", "dns": [{ "name": "db.example.com", "ttl": 5 }], "findings": [], "signature": null });
        let mut later = plan.clone();
        later["findings"] = json!([{ "what": "text" }]);
        later["signature"] = json!("c2lnbmVk");
        assert_eq!(plan_digest(&later), plan_digest(&plan));
        for (at, value) in [
            ("/cluster", json!("billing")),
            ("/dns/0/name", json!("www.example.com")),
            ("/dns/0/ttl", json!(6)),
            ("/dns/0/ttl", json!("5")),
            ("/dns", json!([])),
            ("/dns", json!(null)),
        ] {
            let mut other = plan.clone();
            *other.pointer_mut(at).unwrap() = value;
            assert_ne!(plan_digest(&other), plan_digest(&plan), "{at}");
        }
        // A field of a later version, or one that this version ignores.
        let mut other = plan.clone();
        other["more"] = json!(1);
        assert_ne!(plan_digest(&other), plan_digest(&plan));
    }

    #[test]
    fn a_plan_is_the_same_after_the_state_machine_has_written_and_read_it() {
        // $string and $parse of JSONata.
        let written = json!({ "b": 1, "a": [0.1, 900, 9_007_199_254_740_991_i64, 1e21], "c": null });
        let read: Value = serde_json::from_str(
            r#"{"a": [0.100000000000000, 900.0, 9.00719925474099e15, 1000000000000000000000], "c": null, "b": 1.0}"#,
        )
        .unwrap();
        assert_eq!(json_digest("p", &written), json_digest("p", &read));
    }

    #[test]
    fn what_is_written_alike_is_not_the_same() {
        let digest = |value: Value| json_digest("p", &value);
        assert_ne!(digest(json!(["a", "b"])), digest(json!(["a,\"b"])));
        assert_ne!(digest(json!([["a"], "b"])), digest(json!([["a", "b"]])));
        assert_ne!(digest(json!({ "a\":\"b": 1 })), digest(json!({ "a": "b" })));
        assert_ne!(digest(json!(1)), digest(json!("1.00000000000000e0")));
        // A signature for one purpose is none for another.
        assert_ne!(json_digest("p", &json!(1)), json_digest("q", &json!(1)));
    }
}
