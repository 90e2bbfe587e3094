//! The short hash that an approval is bound to, and that shortens names that would be too long.

use serde_json::Value;
use sha2::{Digest, Sha256};

/// Computes the short hash that an approval is bound to: 12 hexadecimal digits of the SHA-256.
pub fn content_hash(shown: &Value) -> String {
    // serde_json keeps object keys sorted, so equal content has equal bytes. 48 bits are enough: the hash detects a proposal that
    // has changed, and people compare it by eye; the task token is what nobody may guess.
    let digest = Sha256::digest(shown.to_string().as_bytes());
    digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_hash_depends_on_content_and_not_on_the_order_of_keys() {
        // JSON objects have no order, and each service that passes one on may choose its own.
        assert_eq!(content_hash(&json!({ "a": 1, "b": 2 })), content_hash(&json!({ "b": 2, "a": 1 })));
        assert_ne!(content_hash(&json!({ "a": 1 })), content_hash(&json!({ "a": 2 })));
        assert_eq!(content_hash(&json!({})).len(), 12);
    }
}
