//! The codes of findings against docs/preflight.md: each code that people can meet has its row, and no row is of a code that is none.

use crate::files;
use regex::Regex;
use rewind_core::FindingCode;
use std::collections::BTreeSet;

#[test]
fn every_code_of_a_finding_has_its_row_and_the_other_way_round() {
    let page = files::read("docs/preflight.md");
    let row = Regex::new(r"(?m)^\| `([a-z-]+)` \| (.+) \| (.+) \|$").unwrap();
    let documented: BTreeSet<&str> = row.captures_iter(&page).map(|row| row.get(1).unwrap().as_str()).collect();
    let codes: BTreeSet<&str> = FindingCode::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(codes, documented, "FindingCode (left) against docs/preflight.md (right)");
}

#[test]
fn every_code_is_found_by_something() {
    // A code that nothing makes is a promise that nobody keeps.
    let folders = ["crates/rewind-core", "crates/rewind-db", "functions/preflight", "functions/validate-window"];
    let sources = folders.into_iter().flat_map(|folder| files::all(folder, ".rs"));
    let sources: String = sources.filter(|path| !path.ends_with("/tests.rs")).map(files::read).collect();
    for code in FindingCode::ALL {
        let made = Regex::new(&format!(r"FindingCode::{code:?}\b")).unwrap();
        assert!(made.is_match(&sources), "nothing finds {}", code.as_str());
    }
}
