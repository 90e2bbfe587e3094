//! Cuts texts that others write, such as a database's messages, to a length that can be carried and read. It decides on no length.

/// Cuts `text` to about `most` bytes of JSON, and tells the length that it had.
///
/// ```
/// use rewind_core::cut;
///
/// assert_eq!(cut("short", 100), "short");
/// assert_eq!(cut(&"a".repeat(300_000), 50), format!("{}… (300000 characters)", "a".repeat(50)));
/// ```
pub fn cut(text: &str, most: usize) -> String {
    if size_of(text.chars()) <= most + REMARK {
        return text.to_owned();
    }
    let mut size = 0;
    let beyond = text.char_indices().find(|(_, character)| {
        size += size_of([*character]);
        size > most
    });
    let kept = beyond.and_then(|(at, _)| text.get(..at)).unwrap_or(text);
    format!("{kept}… ({} characters)", text.chars().count())
}

/// The bytes of the remark about the length: a text that is hardly longer than allowed would only grow by it.
const REMARK: usize = 24;

/// The bytes that characters take as JSON, where a control character takes six.
fn size_of(characters: impl IntoIterator<Item = char>) -> usize {
    let size = |character: char| match character {
        '"' | '\\' => 2,
        '\0'..='\x1f' => 6,
        other => other.len_utf8(),
    };
    characters.into_iter().map(size).sum()
}
