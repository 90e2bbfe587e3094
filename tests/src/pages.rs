//! The pages for people: every link leads to a page and a heading that exist, the runbook has every alarm that pages, and the
//! index of decisions has every decision.

use crate::files;
use crate::template::{Template, texts};
use regex::Regex;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The folders that hold pages. `target` and `.local` hold those of other projects.
const FOLDERS: [&str; 6] = ["", "cli", "docs", "docs/adr", "docs/errors", "statemachine/inputs"];

fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    for folder in FOLDERS {
        let names = files::names_in(if folder.is_empty() { "." } else { folder });
        pages.extend(names.into_iter().filter(|name| name.ends_with(".md")).map(|name| Path::new(folder).join(name)));
    }
    assert!(pages.len() > 30, "{pages:?}");
    pages
}

/// The text without its code blocks, in which brackets and `#` mean other things.
fn prose(text: &str) -> String {
    let mut inside = false;
    let lines = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        // A fence opens and closes with the same line.
        inside ^= fence;
        !inside && !fence
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The anchors of a page, as GitHub makes them from headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    headings
        .map(|heading| {
            let kept = heading.to_lowercase().replace(' ', "-");
            kept.chars().filter(|c| c.is_alphanumeric() || ['-', '_'].contains(c)).collect()
        })
        .collect()
}

#[test]
fn every_link_between_pages_leads_to_a_page_and_a_heading() {
    let link = Regex::new(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)").unwrap();
    let mut followed = 0;
    for page in pages() {
        let text = prose(&files::read(&page));
        for found in link.captures_iter(&text).filter(|found| !found[1].contains(':')) {
            let target = match &found[1] {
                "" => page.clone(),
                path => page.parent().unwrap().join(path),
            };
            let here = page.display();
            assert!(files::root().join(&target).exists(), "{here} leads to {}, which is not there", &found[1]);
            if let Some(anchor) = found.get(2) {
                let there = anchors(&prose(&files::read(&target)));
                assert!(there.contains(anchor.as_str()), "{here} leads to {}, which has no such heading", &found[0]);
            }
            followed += 1;
        }
    }
    // Links in another notation would not be found, and broken ones among them not either.
    assert!(followed > 100, "{followed} links are written as this test reads them");
}

#[test]
fn every_file_that_a_page_names_is_there() {
    let named = Regex::new(r"`((?:crates|functions|infra|local|statemachine|tests|docs)/[\w./-]+\.\w+)`").unwrap();
    let mut found = 0;
    for page in pages() {
        let text = files::read(&page);
        // The step that how-to-add-a-step.md adds is nowhere.
        for path in named.captures_iter(&text).map(|name| name[1].to_owned()).filter(|p| !p.contains("count-rows")) {
            assert!(files::root().join(&path).exists(), "{} names {path}, which is not there", page.display());
            found += 1;
        }
    }
    assert!(found > 15, "{found} files are named as this test reads them");
}

#[test]
fn the_runbook_begins_with_every_alarm_and_rule_that_pages_and_nothing_else() {
    let template = Template::read();
    let paging = template.section("Resources").filter(|(_, resource)| {
        let properties = &resource["Properties"];
        let to = match resource["Type"].as_str().unwrap() {
            "AWS::CloudWatch::Alarm" => texts(&properties["AlarmActions"]),
            "AWS::Events::Rule" => {
                properties["Targets"].as_array().unwrap().iter().flat_map(|target| texts(&target["Arn"])).collect()
            }
            _ => Vec::new(),
        };
        to.iter().any(|topic| topic == "Pages")
    });
    let paging: BTreeSet<String> = paging.map(|(name, _)| name.to_owned()).collect();
    assert!(paging.len() > 5, "{paging:?}");

    let runbook = files::read("docs/runbook.md");
    let before = runbook.split("\n## ").next().unwrap();
    let row = Regex::new(r"(?m)^\| (`\w+`(?:, `\w+`)*) \| \[[^\]]+\]\(#[\w-]+\) \|").unwrap();
    let rows: Vec<String> = row
        .captures_iter(before)
        .flat_map(|row| row[1].split(", ").map(|name| name.trim_matches('`').to_owned()).collect::<Vec<_>>())
        .collect();
    let documented: BTreeSet<String> = rows.iter().cloned().collect();
    assert_eq!(
        paging, documented,
        "what pages in the template (left) against the first table of docs/runbook.md (right)"
    );
    // In a set the second row of a name disappears, and whoever is paged finds two sections.
    assert_eq!(rows.len(), documented.len(), "a name has two lines in the first table of docs/runbook.md");
}

#[test]
fn every_section_of_an_alarm_has_steps_and_an_end() {
    let runbook = files::read("docs/runbook.md");
    let (before, _) = runbook.split_once("\n## ").unwrap();
    let linked = Regex::new(r"(?m)^\| `.*\]\(#([\w-]+)\) \|").unwrap();
    let sections: BTreeSet<String> = linked.captures_iter(before).map(|found| found[1].to_owned()).collect();
    assert!(sections.len() > 5, "{sections:?}");
    for text in runbook.split("\n## ").skip(1) {
        let anchor = anchors(&format!("## {}", text.lines().next().unwrap())).pop_first().unwrap();
        if sections.contains(&anchor) {
            for part in ["**What it means.**", "**At risk now.**", "\n1. ", "**It is over when**"] {
                assert!(text.contains(part), "docs/runbook.md#{anchor} lacks {part:?}");
            }
        }
    }
}

#[test]
fn the_index_of_decisions_has_every_decision_by_its_number() {
    let index = files::read("docs/adr/README.md");
    let row = Regex::new(r"(?m)^\| \[(\d+)\]\(([\w-]+\.md)\) \| [^|]+ \| [^|]+ \| \w+ \|$").unwrap();
    let rows: Vec<(String, String)> =
        row.captures_iter(&index).map(|row| (row[1].to_owned(), row[2].to_owned())).collect();
    let pages: Vec<String> = files::names_in("docs/adr").into_iter().filter(|name| name != "README.md").collect();
    let listed: Vec<String> = rows.iter().map(|(_, page)| page.clone()).collect();
    assert_eq!(pages, listed, "docs/adr (left) against its index (right)");
    for (number, page) in rows {
        assert!(page.starts_with(&format!("{number:0>4}-")), "{page} is number {number} in the index");
        let title = files::read(format!("docs/adr/{page}"));
        assert!(title.starts_with(&format!("# {number}. ")), "{page}: the title does not begin with {number}.");
    }
}
