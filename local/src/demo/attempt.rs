//! One write of the application, as far as the application knows what became of it.

use jiff::{SignedDuration, Timestamp};

/// A number that the application sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The number.
    pub number: i64,
    /// The endpoint that the name resolved to when the connection was made.
    pub endpoint: String,
    /// When it was sent.
    pub sent: Timestamp,
    /// When the server acknowledged it, or why that is unknown.
    pub acknowledged: Result<Timestamp, String>,
}

/// The times between acknowledgements, each with its beginning.
pub fn gaps(attempts: &[Attempt]) -> impl Iterator<Item = (Timestamp, SignedDuration)> {
    let mut times: Vec<Timestamp> = attempts.iter().filter_map(|attempt| attempt.acknowledged.clone().ok()).collect();
    // Several workers write at once: attempts are in the order of their numbers, not of their acknowledgements.
    times.sort_unstable();
    let afterwards = times.clone().into_iter().skip(1);
    times.into_iter().zip(afterwards).map(|(before, after)| (before, after.duration_since(before)))
}
