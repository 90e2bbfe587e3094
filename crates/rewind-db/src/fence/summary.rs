//! Lists for people, cut: an error, a report and the state of an execution have to hold them whatever the number of tenants is.

use std::fmt::Display;

/// The most names that a list shows.
const SHOWN: usize = 10;

/// Joins the first names, and says how many more there are; `none` where there is none.
pub fn some_of<T: Display>(names: &[T], none: &str) -> String {
    if names.is_empty() {
        return none.to_owned();
    }
    let shown: Vec<String> = names.iter().take(SHOWN).map(ToString::to_string).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Keeps the first sentences, and says in one more how many others there are.
pub fn cut(mut sentences: Vec<String>, others: &str) -> Vec<String> {
    let more = sentences.len().saturating_sub(2 * SHOWN);
    if more > 0 {
        sentences.truncate(2 * SHOWN);
        sentences.push(format!("{more} more {others}"));
    }
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_thousands_shows_ten_and_the_number_of_the_others() {
        let names: Vec<String> = (0..2_600).map(|n| format!("{n:063}")).collect();
        let text = some_of(&names, "none");
        assert!(text.len() < 700 && text.ends_with(" and 2590 more"), "{text}");
        assert_eq!(some_of(&names[..2], "none"), format!("{}, {}", names[0], names[1]));
        assert_eq!(some_of::<String>(&[], "none"), "none");
    }

    #[test]
    fn thousands_of_sentences_are_cut_with_their_number_and_twenty_are_not() {
        let sentences = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
        let kept = cut(sentences(2_600), "sessions");
        assert_eq!((kept.len(), kept[20].as_str()), (21, "2580 more sessions"));
        assert_eq!(cut(sentences(20), "sessions"), sentences(20));
    }
}
