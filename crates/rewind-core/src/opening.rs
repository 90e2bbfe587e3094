//! A way into a cluster that a recovery left behind, for one person who needs to read there: the rows that were written since the
//! target. It is named from the recovery, recorded in its item, and closed after a time.

use crate::content_hash::content_hash;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::net::IpAddr;

/// The time for which a cluster is opened unless somebody asks for another.
pub const OPEN_FOR: SignedDuration = SignedDuration::from_hours(1);

/// The longest time for which a cluster is opened.
pub const OPEN_FOR_MOST: SignedDuration = SignedDuration::from_hours(8);

/// The shortest: less is over before somebody has typed a password.
pub const OPEN_FOR_LEAST: SignedDuration = SignedDuration::from_mins(1);

/// The way in, as the table records it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Opening {
    /// The execution that opened it, by its name.
    pub id: String,
    /// The person who asked for it.
    pub by: String,
    /// The only address that is let in.
    pub from: String,
    /// The time at which it is closed.
    pub until: Timestamp,
    /// The database, where one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// The connection; none while it is being opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<OpenedAt>,
}

/// The connection that an opening lets in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenedAt {
    /// The cluster.
    pub cluster: String,
    /// The engine, as RDS names it.
    pub engine: String,
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The database.
    pub database: String,
    /// The user.
    pub user: String,
    /// The ARN of the secret that holds the password.
    pub secret: String,
    /// The part of the network, as a sentence.
    pub network: String,
    /// The rows of the database that are not read, a sentence for each reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
}

/// The user that reads in a cluster of the recovery `id`.
///
/// ```
/// assert_eq!(rewind_core::opened_user("rewind-orders-20261123-103000").len(), 24);
/// ```
pub fn opened_user(id: &str) -> String {
    // Users of MySQL have 32 characters at most, and an id has up to 80.
    format!("rewind_open_{}", content_hash(&json!(id)))
}

/// The beginning of the name of every secret with the password of such a user.
const SECRETS: &str = "aurora-rewind/open/";

/// The name of the secret with the password of the execution `opening`.
pub fn opened_secret(opening: &str) -> String {
    format!("{SECRETS}{opening}")
}

/// Reads one address: `203.0.113.7`, or as a block of one, `203.0.113.7/32`.
///
/// # Errors
///
/// The reason, with what would be right.
///
/// ```
/// assert!(rewind_core::one_address("203.0.113.7/32").is_ok());
/// assert!(rewind_core::one_address("203.0.113.0/24").is_err());
/// ```
pub fn one_address(text: &str) -> Result<IpAddr, String> {
    let (address, length) = text.trim().split_once('/').map_or((text.trim(), None), |(at, length)| (at, Some(length)));
    let Ok(address) = address.parse::<IpAddr>() else {
        return Err(format!(
            "\"{text}\" is no address: give one such as 203.0.113.7, as the cluster's network sees it"
        ));
    };
    let whole = if address.is_ipv4() { "32" } else { "128" };
    if length.is_some_and(|length| length != whole) {
        return Err(format!(
            "\"{text}\" is a range of addresses, and one connection comes from one: give {address}/{whole}"
        ));
    }
    if address.is_unspecified() || address.is_multicast() {
        return Err(format!("nobody connects from {address}: give one such as 203.0.113.7"));
    }
    Ok(address)
}

/// The block of one address, as a security group holds it.
pub fn block_of(address: IpAddr) -> String {
    format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_address_is_let_in() {
        for text in ["203.0.113.7", "203.0.113.7/32", " 203.0.113.7 ", "2001:db8::7", "2001:db8::7/128"] {
            let address = one_address(text).unwrap();
            assert_eq!(one_address(&block_of(address)), Ok(address), "{text}");
        }
        for (text, why) in [
            ("203.0.113.0/24", "give 203.0.113.0/32"),
            ("0.0.0.0/0", "is a range"),
            ("0.0.0.0", "nobody connects"),
            ("2001:db8::/64", "give 2001:db8::/128"),
            ("laptop", "is no address"),
            ("203.0.113.7/032", "is a range"),
            ("", "is no address"),
        ] {
            let refused = one_address(text).unwrap_err();
            assert!(refused.contains(why), "{text}: {refused}");
        }
    }

    #[test]
    fn a_user_is_of_one_recovery_and_fits_into_mysql() {
        let user = opened_user(&"x".repeat(80));
        assert!(user.len() <= 32 && user != opened_user("y"), "{user}");
        assert!(user.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{user}");
    }
}
