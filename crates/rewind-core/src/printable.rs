//! Makes texts that others chose, such as a cluster's name or a database's message, safe to show: they stay on their line, and can
//! neither colour it, move the cursor nor turn the order of its characters around. Every text that people read comes through here.

/// Writes the characters of `text` that would not show as themselves as their code.
///
/// ```
/// use rewind_core::printable;
///
/// assert_eq!(printable("Größe 10 µs ✅"), "Größe 10 µs ✅");
/// assert_eq!(printable("a\n\u{1b}[2Jb\u{202e}c"), "a\\n\\u{1b}[2Jb\\u{202e}c");
/// ```
pub fn printable(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut printed, character| {
        if is_hidden(character) {
            printed.extend(character.escape_default());
        } else {
            printed.push(character);
        }
        printed
    })
}

/// The same for a text of several lines, which stay lines.
pub fn printable_lines(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

/// True for a character that has no shape of its own and changes how others are shown.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            // Line and paragraph separators, and what has no width.
            '\u{2028}' | '\u{2029}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{00ad}' | '\u{034f}'
            // Directions: embeddings, overrides and isolates.
            | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
            // Fillers that look like nothing, variations and tags.
            | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{180e}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_already_printable_stays_as_it_is_however_often_it_is_printed() {
        let once = printable("x\r\ny\u{9b}z\u{2066}");
        assert_eq!(once, "x\\r\\ny\\u{9b}z\\u{2066}");
        assert_eq!(printable(&once), once);
        assert_eq!(printable_lines("a\n\u{7}b"), "a\n\\u{7}b");
    }

    proptest! {
        #[test]
        fn no_text_leaves_its_line_or_hides(text in any::<String>()) {
            let shown = printable(&text);
            prop_assert!(shown.chars().all(|c| !is_hidden(c)));
            prop_assert_eq!(shown.lines().count().max(1), 1);
        }
    }
}
