//! Shortness for chat and mail: how long a line may be, and the number of what is left out.

/// The longest line that others wrote a part of, in bytes: the reason of a check, or the names of tables.
pub(super) const LINE_MAX: usize = 240;

/// Counts what is left out; none where that is nothing.
pub(super) fn counted(counts: &[(usize, &str)]) -> Option<String> {
    let counts: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}{}", if *count == 1 { "" } else { "s" }))
        .collect();
    (!counts.is_empty()).then(|| counts.join(", "))
}
