//! SPECIFICATION.md: every promise has a number of its own and names the tests that hold it, and those tests exist.

use crate::files;
use regex::Regex;
use std::collections::BTreeSet;

/// The promises: their numbers, and the text of their last column.
fn promises() -> Vec<(String, String)> {
    let row = Regex::new(r"(?m)^\| ([A-Z]\d+) \| .+ \| ([^|]+) \|$").unwrap();
    let page = files::read("SPECIFICATION.md");
    let promises: Vec<_> = row.captures_iter(&page).map(|found| (found[1].to_owned(), found[2].to_owned())).collect();
    // Rows in another notation would be promises that nothing holds.
    let written = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| no. ")).count();
    assert_eq!(promises.len(), written, "a row of SPECIFICATION.md has no number, or no column of tests");
    promises
}

#[test]
fn every_promise_has_a_number_of_its_own() {
    let promises = promises();
    let numbers: BTreeSet<_> = promises.iter().map(|(number, _)| number).collect();
    assert!(promises.len() > 25, "{} promises", promises.len());
    assert_eq!(numbers.len(), promises.len(), "{numbers:?}");
}

#[test]
fn every_promise_names_tests_that_exist() {
    let test = Regex::new(r"`([\w./-]+\.(?:rs|py))::(\w+)`").unwrap();
    for (number, held_by) in promises() {
        let named: Vec<_> =
            test.captures_iter(&held_by).map(|found| (found[1].to_owned(), found[2].to_owned())).collect();
        assert!(!named.is_empty(), "{number} names no test: {held_by}");
        for (path, name) in named {
            let code = files::read(&path);
            let declared = [format!("fn {name}("), format!("def {name}(")];
            assert!(declared.iter().any(|form| code.contains(form)), "{number}: {path} has no test {name}");
        }
    }
}
