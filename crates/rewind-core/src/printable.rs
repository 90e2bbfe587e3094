//! Makes texts that others chose, such as a cluster's name or a database's message, safe to show: they stay on their line, and can
//! neither colour it, move the cursor nor turn the order of its characters around. Every text that people read comes through here.

use std::ops::RangeInclusive;

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

/// Writes JSON in one line in which no text hides or leaves it: the same JSON for whoever reads it.
///
/// ```
/// use rewind_core::printable_json;
///
/// let json = serde_json::json!({ "name": "a\u{9b}2Jb\u{202e}c" });
/// assert_eq!(printable_json(&json), r#"{"name":"a\u009b2Jb\u202ec"}"#);
/// assert_eq!(serde_json::from_str::<serde_json::Value>(&printable_json(&json)).unwrap(), json);
/// ```
pub fn printable_json(json: &serde_json::Value) -> String {
    // Such a character can only be within a text: outside of them there is no more than punctuation.
    json.to_string().chars().fold(String::new(), |mut printed, character| {
        if is_hidden(character) {
            let mut units = [0; 2];
            printed.extend(character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            printed.push(character);
        }
        printed
    })
}

/// The characters without a shape of their own that change how others are shown, in their order: what Unicode calls controls, formats,
/// separators of lines and paragraphs, and ignorable by default.
pub const HIDDEN: &[RangeInclusive<char>] = &[
    '\0'..='\u{1f}',
    '\u{7f}'..='\u{9f}',
    '\u{ad}'..='\u{ad}',
    '\u{34f}'..='\u{34f}',
    '\u{600}'..='\u{605}',
    '\u{61c}'..='\u{61c}',
    '\u{6dd}'..='\u{6dd}',
    '\u{70f}'..='\u{70f}',
    '\u{890}'..='\u{891}',
    '\u{8e2}'..='\u{8e2}',
    '\u{115f}'..='\u{1160}',
    '\u{17b4}'..='\u{17b5}',
    '\u{180b}'..='\u{180f}',
    '\u{200b}'..='\u{200f}',
    '\u{2028}'..='\u{202e}',
    '\u{2060}'..='\u{206f}',
    '\u{3164}'..='\u{3164}',
    '\u{fe00}'..='\u{fe0f}',
    '\u{feff}'..='\u{feff}',
    '\u{ffa0}'..='\u{ffa0}',
    '\u{fff0}'..='\u{fffb}',
    '\u{110bd}'..='\u{110bd}',
    '\u{110cd}'..='\u{110cd}',
    '\u{13430}'..='\u{1343f}',
    '\u{1bca0}'..='\u{1bca3}',
    '\u{1d173}'..='\u{1d17a}',
    '\u{e0000}'..='\u{e0fff}',
];

fn is_hidden(character: char) -> bool {
    HIDDEN.iter().any(|range| range.contains(&character))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use regex::Regex;

    #[test]
    fn what_is_already_printable_stays_as_it_is_however_often_it_is_printed() {
        let once = printable("x\r\ny\u{9b}z\u{2066}");
        assert_eq!(once, "x\\r\\ny\\u{9b}z\\u{2066}");
        assert_eq!(printable(&once), once);
        assert_eq!(printable_lines("a\n\u{7}b"), "a\n\\u{7}b");
    }

    #[test]
    fn every_character_that_unicode_hides_is_hidden_and_no_other() {
        let of_unicode = Regex::new(r"^[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]$").unwrap();
        for character in '\0'..=char::MAX {
            let expected = of_unicode.is_match(character.encode_utf8(&mut [0; 4]));
            assert_eq!(is_hidden(character), expected, "{}", character.escape_unicode());
        }
    }

    proptest! {
        #[test]
        fn json_stays_the_same_and_none_of_it_hides(texts in prop::collection::vec(any::<String>(), 0..4), at in 0_u32..0x11_0000) {
            let hidden = char::from_u32(at).filter(|c| is_hidden(*c)).unwrap_or('\u{202e}').to_string();
            let json = serde_json::json!({ "texts": texts, "hidden": hidden });
            let shown = printable_json(&json);
            prop_assert!(shown.chars().all(|c| !is_hidden(c)), "{shown}");
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), json);
        }

        #[test]
        fn no_text_leaves_its_line_or_hides(text in any::<String>()) {
            let shown = printable(&text);
            prop_assert!(shown.chars().all(|c| !is_hidden(c)));
            prop_assert_eq!(shown.lines().count().max(1), 1);
        }
    }
}
