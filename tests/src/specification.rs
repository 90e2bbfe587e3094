//! SPECIFICATION.md: every promise has a number of its own and names the tests that hold it, and those tests exist. Those that
//! SECURITY.md names exist too.

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

/// The tests that a text names, by path and name.
fn tests_in(text: &str) -> Vec<(String, String)> {
    let test = Regex::new(r"`([\w./-]+\.(?:rs|py))::(\w+)`").unwrap();
    test.captures_iter(text).map(|found| (found[1].to_owned(), found[2].to_owned())).collect()
}

fn assert_exists(of: &str, (path, name): &(String, String)) {
    let code = files::read(path);
    let declared = [format!("fn {name}("), format!("def {name}(")];
    assert!(declared.iter().any(|form| code.contains(form)), "{of}: {path} has no test {name}");
}

#[test]
fn every_promise_names_tests_that_exist() {
    for (number, held_by) in promises() {
        let named = tests_in(&held_by);
        assert!(!named.is_empty(), "{number} names no test: {held_by}");
        named.iter().for_each(|test| assert_exists(&number, test));
    }
}

#[test]
fn every_position_of_security_md_names_tests_that_exist_or_none() {
    let page = files::read("SECURITY.md");
    let section = page.split("\n## ").find(|section| section.starts_with("Positions\n")).unwrap();
    let rows: Vec<&str> =
        section.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| position")).collect();
    // The table in another form would have no rows for this test.
    assert!(rows.len() > 10, "{} positions", rows.len());
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        let [position, _, _, held_by] = cells[..] else { panic!("{row} has other columns") };
        let named = tests_in(held_by);
        assert!(!named.is_empty() || held_by.trim() == "–", "{position} names no test: {held_by}");
        named.iter().for_each(|test| assert_exists(position, test));
    }
}
