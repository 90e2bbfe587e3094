//! The same documents, rendered in every way: exact texts, and no fact that one rendering has and another lacks.

use super::{plain, slack, terminal};
use crate::document::{Document, Line};
use crate::format::{self, Place, Values};
use rewind_aws::fixtures::{in_place_plan, plan, recovered, recovery, recovery_record, restored, safety_clone, time};
use rewind_core::comparison::{Comparison, DifferingTable, NotCompared, RowChanges};
use rewind_core::{
    Check, CheckResult, ComparedTables, DatabaseTables, Difference, Estimates, Expectation, HeldJob, KeptSafetyClone,
    Login, Outcome, Plan, Proposal, Recovered, RecoveryRecord, Report, Restored, TableCount, TableEstimate, Tls,
};

fn report() -> Report {
    let check = |name: &str| Check {
        name: name.to_owned(),
        database: "shop".to_owned(),
        sql: "SELECT count(*) FROM orders".to_owned(),
        expectation: Expectation::Expect("2".to_owned()),
    };
    let answer = |value: &str| rewind_core::QueryResult { value: Ok(Some(value.to_owned())), seconds: 0.1 };
    let checks = vec![
        CheckResult::judge(&check("rows are back"), answer("2"), Some(answer("0"))),
        // A name with the characters that Slack reads as its own.
        CheckResult::judge(&check("a < b & c"), answer("3"), None),
    ];
    let tables = vec![TableCount {
        database: "shop".to_owned(),
        table: "public.orders".to_owned(),
        restored: Some(2),
        source: Some(0),
        note: None,
    }];
    let login = Login { user: "postgres".to_owned(), secret_version: "AWSCURRENT".to_owned(), tls: Tls::Verified };
    let report = Report::new(login, checks, tables, vec!["old can only be dropped".to_owned()]);
    Report { estimates: Some(estimates()), ..report }
}

/// A dropped table, a table whose rows were deleted, one that was made since, and a database that was not read.
fn estimates() -> Estimates {
    let tables = |tables: &[(&str, Option<u64>)]| DatabaseTables {
        tables: tables.iter().map(|(table, rows)| TableEstimate { table: (*table).to_owned(), rows: *rows }).collect(),
        has_more: false,
    };
    let restored =
        tables(&[("public.orders", Some(1_234_567)), ("public.carts", Some(12_900)), ("public.items", None)]);
    let source = tables(&[("public.orders", Some(30)), ("public.items", None), ("public.orders_archive", Some(800))]);
    let notes = vec!["1 of 2 databases were not read: the time for it was used up".to_owned()];
    let shop = ComparedTables::of("shop", restored, source);
    Estimates::of(("orders-r", "orders"), (Vec::new(), vec!["crm".to_owned()]), vec![shop], notes)
}

/// A proposal in which every list has something. Of its differences the restore's comes twice, as the state machine has it.
pub(super) fn proposal() -> Proposal {
    let difference = Difference::new("log exports", "audit", "none", "turn them on");
    let plan = Plan {
        will_do: vec!["restore orders".to_owned(), "fence orders".to_owned()],
        reasons: vec!["restore: asked for".to_owned()],
        warnings: vec!["2 tables have no key".to_owned()],
        ..plan()
    };
    Proposal {
        plan,
        restored: Some(Restored { differences: vec![difference.clone()], ..restored() }),
        report: Some(report()),
        differences: vec![difference, Difference::new("custom endpoints", "1", "none", "make it again")],
        comparison: None,
    }
}

/// Two tables that differ, one that does not, and one that was not compared.
fn comparison() -> Comparison {
    let differing = |table: &str, inserted, deleted| DifferingTable {
        table: table.to_owned(),
        changes: RowChanges { inserted, updated: 1, deleted },
        without_key: false,
        note: None,
    };
    Comparison {
        restored: "orders-r".to_owned(),
        source: "orders".to_owned(),
        tables: 3,
        changes: RowChanges { inserted: 12, updated: 2, deleted: 1_234_537 },
        differing: vec![differing("shop.public.orders", 7, 1_234_537), differing("shop.public.carts", 5, 0)],
        equal: vec!["shop.public.items".to_owned()],
        not_compared: vec![NotCompared {
            table: "shop.public.cache".to_owned(),
            why: "on the source it is unlogged: no backup holds its rows".to_owned(),
        }],
        from: Some(time("2026-11-23T10:39:00Z")),
        to: Some(time("2026-11-23T10:39:02Z")),
        ..Comparison::default()
    }
}

/// A recovery whose end has every line that an end may have side by side.
pub(super) fn recovered_with_everything() -> Recovered {
    let report = report();
    Recovered {
        checks: report.checks,
        tables: report.tables,
        estimates: report.estimates,
        notes: report.notes,
        differences: vec![Difference::new("log exports", "audit", "none", "turn them on")],
        timings: [("RequestApproval".to_owned(), 10.0), ("total".to_owned(), 14.1)].into(),
        ..recovered()
    }
}

fn in_place() -> Proposal {
    let plan = Plan { will_do: vec!["backtrack orders".to_owned()], ..in_place_plan() };
    Proposal { plan, restored: None, report: None, differences: Vec::new(), comparison: None }
}

fn documents() -> Vec<Document> {
    let clone = safety_clone();
    let in_place_outcome = Recovered {
        new_cluster: None,
        notes: vec!["a note".to_owned()],
        held_jobs: Vec::new(),
        safety_clone: Some(KeptSafetyClone {
            cluster: clone.cluster,
            writer_endpoint: clone.writer_endpoint,
            taken_at: clone.rewound_to,
            keep_until: Some(time("2026-11-30T10:40:00Z")),
            keep: None,
            delete: "aws rds delete-db-cluster …".to_owned(),
        }),
        ..recovered()
    };
    let counted = Proposal { comparison: Some(comparison()), ..proposal() };
    let ended = Recovered { comparison: Some(comparison()), ..recovered() };
    vec![
        format::proposal(&counted, Values::Shown),
        format::outcome(&Outcome::Recovered(Box::new(ended))),
        format::proposal(&in_place(), Values::Shown),
        format::approval_mail(&recovery(), &proposal(), time("2026-11-23T11:40:00Z")).1,
        format::outcome(&Outcome::Recovered(Box::new(recovered()))),
        format::outcome(&Outcome::Recovered(Box::new(in_place_outcome))),
    ]
}

#[test]
fn every_fact_of_a_document_is_in_every_rendering() {
    for document in documents() {
        let renderings = [
            plain(&document),
            terminal(&document, true, None),
            terminal(&document, false, None),
            slack::sections(&document).join("\n"),
        ];
        // A renderer that drops a kind of line would hide a warning from everybody who reads only that one.
        for line in document.lines() {
            for rendering in &renderings {
                let fact = line.text();
                // In Slack three characters are escaped, so a fact may be there in that form.
                let is_there = rendering.contains(fact) || rendering.contains(&slack::escape(fact));
                assert!(is_there, "{fact} is not in\n{rendering}");
            }
        }
    }
}

#[test]
fn jobs_that_are_held_are_named_with_the_command_that_releases_them_and_the_rest_is_counted() {
    let job = |name: &str, held, released| HeldJob {
        kind: "event".to_owned(),
        name: name.to_owned(),
        held,
        released,
        release: Some("aws rds …".to_owned()),
        note: None,
    };
    let mut held_jobs =
        vec![job("shop.purge", true, false), job("shop.mail", false, true), job("shop.tick", false, false)];
    held_jobs.extend((0..9).map(|n| job(&format!("shop.n{n}"), true, false)));
    let outcome = Outcome::Recovered(Box::new(Recovered { held_jobs, ..recovered() }));
    let text = plain(&format::outcome(&outcome));
    for line in [
        "event shop.purge is held, and does not run; to release it: aws rds …",
        "event shop.mail runs again\n",
        "event shop.tick RUNS: nothing could hold it\n",
        "and 2 more",
    ] {
        assert!(text.contains(line), "{text}\nlacks {line}");
    }
}

#[test]
fn chat_and_mail_name_the_checks_and_the_command_that_shows_their_values() {
    let mut asked = proposal();
    for check in asked.report.iter_mut().flat_map(|report| &mut report.checks) {
        (check.found, check.source) = (Some("canary".to_owned()), Some("canary".to_owned()));
    }
    let at = time("2026-11-23T11:40:00Z");
    for document in [
        format::approval_mail(&recovery(), &asked, at).1,
        format::approval_request("r-1", &asked, &asked.hash(), at, Place::Chat),
        format::proposal(&asked, Values::Hidden),
    ] {
        let text = plain(&document);
        assert!(!text.contains("canary") && text.contains("check \"rows are back\" in shop passed"), "{text}");
    }
    for (place, command) in [(Place::Chat, "/rewind status r-1"), (Place::Terminal, "rewind status r-1")] {
        let request = format::approval_request("r-1", &asked, &asked.hash(), at, place);
        assert!(request.lines().contains(&Line::Field("all of it", command.to_owned())), "{}", plain(&request));
    }
    let shown = plain(&format::proposal(&asked, Values::Shown));
    assert_eq!(shown.matches("found canary").count(), 2, "{shown}");
}

/// Every list longer than anybody reads, by names as long as a database lets them be.
fn long_proposal() -> Proposal {
    let mut asked = proposal();
    let record = asked.plan.dns[0].clone();
    (asked.plan.dns, asked.plan.warnings) = (vec![record; 20], vec!["a warning".repeat(20); 30]);
    let report = asked.report.as_mut().unwrap();
    let check = CheckResult { name: "n".repeat(60), passed: true, ..report.checks[1].clone() };
    report.checks = [vec![check; 40], report.checks.clone()].concat();
    report.notes = vec!["a note".repeat(50); 40];
    asked
}

#[test]
fn a_request_for_approval_fits_on_a_phone_however_much_there_is_to_read() {
    let at = time("2026-11-23T11:40:00Z");
    let counted = |comparison: Comparison| Proposal { comparison: Some(comparison), ..long_proposal() };
    let failed = Comparison { notes: vec!["not compared".repeat(40)], ..Comparison::default() };
    for asked in [proposal(), long_proposal(), in_place(), counted(comparison()), counted(failed)] {
        let request = format::approval_request("r-1", &asked, &asked.hash(), at, Place::Chat);
        assert!(request.lines().len() <= 16, "{}", plain(&request));
        assert!(request.lines().iter().all(|line| line.text().chars().count() <= 240), "{}", plain(&request));
        // The hash is that of all of it.
        assert!(request.lines().contains(&Line::Field("hash", asked.hash())), "{}", plain(&request));
    }
    let text = plain(&format::approval_request("r-1", &long_proposal(), "3fa9c1d20b7e", at, Place::Chat));
    let failed = text.find("check \"a < b & c\" in shop failed").unwrap();
    assert!(failed < text.find("passed").unwrap() && text.contains("- and 37 more checks\n"), "{text}");
    assert!(text.contains("! to read before: 30 warnings, 40 notes, 2 differences\n"), "{text}");
}

#[test]
fn the_end_in_a_channel_counts_what_is_to_be_read_and_hides_no_doubt() {
    let many = Recovered {
        notes: vec!["a note".to_owned(); 60],
        unconfirmed: Some("app is on orders".to_owned()),
        ..recovered_with_everything()
    };
    let outcome = Some(Outcome::Recovered(Box::new(many)));
    let record = RecoveryRecord { state: "Recovered".to_owned(), outcome, ..recovery_record(&plan()) };
    let text = plain(&format::recovery_in_short(&record, Place::Chat));
    for part in
        ["Recovered", "NOT CONFIRMED", "app is on orders", "1 of 2 passed", "! to read: 1 difference, 60 notes\n"]
    {
        assert!(text.contains(part), "{text}\nlacks {part}");
    }
    assert!(
        text.contains("not carried over writes from") && text.contains(&format!("/rewind status {}", record.id)),
        "{text}"
    );
    assert!(text.lines().count() <= 10, "{text}");
}

#[test]
fn a_request_without_checks_has_what_estimates_show() {
    let mut asked = proposal();
    let report = asked.report.as_mut().unwrap();
    report.checks.clear();
    let at = time("2026-11-23T11:40:00Z");
    let text = plain(&format::approval_request("r-1", &asked, "3fa9c1d20b7e", at, Place::Chat));
    assert_eq!(
        text,
        "\
r-1 waits for a decision until 2026-11-23T11:40:00Z
  cluster          orders, back to 2026-11-23T10:30:00Z on orders-r; traffic is still on the source
  if you approve   orders is fenced, and db.example.com and 1 more move to orders-r
  if you reject    no traffic is moved, and orders-r is deleted if nobody uses it
  ! what was written to orders after 2026-11-23T10:30:00Z is not on orders-r: it stays on the source, fenced, for 7d
  checks           none were given: there are estimates alone
  ! shop: 3 of 4 tables are there; missing on orders-r: public.orders_archive (about 800 rows); missing on orders: public.carts (about 12 k rows); public.orders about 1.2 M rows, on orders about 30
  - orders lacks the database crm; not all was read
  ! to read before: 1 warning, 1 note, 2 differences
  all of it        /rewind status r-1
  hash             3fa9c1d20b7e
"
    );
    let counted = Proposal { comparison: Some(comparison()), ..asked.clone() };
    let text = plain(&format::approval_request("r-1", &counted, "3fa9c1d20b7e", at, Place::Chat));
    let lines = "  checks           none were given: the tables were compared with the source
  ! not carried over as of 2026-11-23T10:39:02Z: 12 inserted, 2 updated, 1234537 deleted in 2 of 3 tables, most in shop.public.orders (7 inserted, 1 updated, 1234537 deleted)
  ! 1 table not compared
  ! to read before";
    assert!(text.contains(lines), "{text}");
    assert_ne!(counted.hash(), asked.hash());
    let blind = Proposal { report: asked.report.map(|report| Report { estimates: None, ..report }), ..asked };
    let text = plain(&format::approval_request("r-1", &blind, "3fa9c1d20b7e", at, Place::Chat));
    assert!(text.contains("none were given, and nothing is known of the tables"), "{text}");
    // They are a part of what is approved.
    assert_ne!(blind.hash(), proposal().hash());
}

#[test]
fn a_difference_that_the_restore_found_is_listed_once() {
    let text = plain(&format::proposal(&proposal(), Values::Shown));
    assert_eq!(text.matches("log exports").count(), 1, "{text}");
    assert_eq!(text.matches("custom endpoints").count(), 1, "{text}");
}

const PLAIN: &str = "\
The plan: orders back to 2026-11-23T10:30:00Z
  1. restore orders
  2. fence orders
  because          restore: asked for
  window           2026-11-16T02:00:00Z to 2026-11-23T10:34:00Z
  ! 2 tables have no key
The restored cluster (traffic is still on the source):
  restored cluster orders-r
  rewound to       2026-11-23T10:30:00Z
  writer           orders-r.cluster-x.us-east-1.rds.amazonaws.com
The rewound data (NOT all checks passed):
  + check \"rows are back\" in shop passed: expected 2, found 2; the source has 0
  ! check \"a < b & c\" in shop failed: expected 2, found 3
  - public.orders in shop: 2 rows, 0 on the source
  ! shop: 3 of 4 tables are there; missing on orders-r: public.orders_archive (about 800 rows); missing on orders: public.carts (about 12 k rows); public.orders about 1.2 M rows, on orders about 30
  - databases that orders lacks: crm
  ! not estimated: 1 of 2 databases were not read: the time for it was used up
  - estimates, not counts, of 4 tables in 1 database on orders-r and orders; 1 table never analysed, so nobody knows of their rows
  ! old can only be dropped
  login            postgres, secret version AWSCURRENT, TLS with a verified certificate
Differences between the restored cluster and the source:
  - log exports: audit, now none; to do: turn them on
  - custom endpoints: 1, now none; to do: make it again
If you approve:
  - orders is fenced: its sessions end and it acknowledges no more writes
  - db.example.com moves from orders.cluster-x.us-east-1.rds.amazonaws.com to orders-r.cluster-x.us-east-1.rds.amazonaws.com
  - db-ro.example.com moves from orders.cluster-ro-x.us-east-1.rds.amazonaws.com to orders-r.cluster-ro-x.us-east-1.rds.amazonaws.com
  ! what was written to orders after 2026-11-23T10:30:00Z is not on orders-r: it stays on the source, fenced, for 7d
If you reject:
  - no traffic is moved, and orders-r is deleted if nobody uses it
";

#[test]
fn a_proposal_as_plain_text() {
    assert_eq!(plain(&format::proposal(&proposal(), Values::Shown)), PLAIN);
    assert_eq!(terminal(&format::proposal(&proposal(), Values::Shown), false, None), PLAIN);
}

#[test]
fn a_proposal_in_place_as_plain_text() {
    assert_eq!(
        plain(&format::proposal(&in_place(), Values::Shown)),
        "\
The plan: orders back to 2026-11-23T10:30:00Z
  1. backtrack orders
  window           2026-11-22T10:36:00Z to 2026-11-23T10:35:00Z
Nothing has been changed yet.
If you approve:
  - orders itself is rewound to 2026-11-23T10:30:00Z
  - every connection to orders is cut, and it takes none until all of this is done
  ! what was written to orders after 2026-11-23T10:30:00Z is no longer on it: it stays on orders-e, the safety clone
If you reject:
  - nothing is changed
"
    );
}

#[test]
fn a_proposal_on_a_terminal_is_the_plain_text_with_styles() {
    let text = terminal(&format::proposal(&proposal(), Values::Shown), true, None);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "\u{1b}[1mThe plan: orders back to 2026-11-23T10:30:00Z\u{1b}[0m");
    assert_eq!(lines[1], "  \u{1b}[2m1.\u{1b}[0m restore orders");
    assert_eq!(lines[3], "  \u{1b}[2mbecause         \u{1b}[0m restore: asked for");
    assert_eq!(lines[5], "  \u{1b}[33m! 2 tables have no key\u{1b}[0m");
    assert!(lines[11].starts_with("  \u{1b}[32m+ check \"rows are back\""), "{}", lines[11]);
    // Without the codes the plain text is left: styles add nothing and hide nothing.
    let mut without_styles = text.clone();
    for code in ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[2m", "\u{1b}[32m", "\u{1b}[33m"] {
        without_styles = without_styles.replace(code, "");
    }
    assert_eq!(without_styles, PLAIN);
}

#[test]
fn a_proposal_in_slack() {
    assert_eq!(
        slack::sections(&format::proposal(&proposal(), Values::Hidden)).join("\n"),
        "\
*The plan: orders back to 2026-11-23T10:30:00Z*
1. restore orders
2. fence orders
because: restore: asked for
window: 2026-11-16T02:00:00Z to 2026-11-23T10:34:00Z
:warning: 2 tables have no key
*The restored cluster (traffic is still on the source):*
restored cluster: orders-r
rewound to: 2026-11-23T10:30:00Z
writer: orders-r.cluster-x.us-east-1.rds.amazonaws.com
*The rewound data (NOT all checks passed):*
:white_check_mark: check \"rows are back\" in shop passed
:warning: check \"a &lt; b &amp; c\" in shop failed
• public.orders in shop: 2 rows, 0 on the source
:warning: shop: 3 of 4 tables are there; missing on orders-r: public.orders_archive (about 800 rows); missing on orders: public.carts (about 12 k rows); public.orders about 1.2 M rows, on orders about 30
• databases that orders lacks: crm
:warning: not estimated: 1 of 2 databases were not read: the time for it was used up
• estimates, not counts, of 4 tables in 1 database on orders-r and orders; 1 table never analysed, so nobody knows of their rows
:warning: old can only be dropped
login: postgres, secret version AWSCURRENT, TLS with a verified certificate
*Differences between the restored cluster and the source:*
• log exports: audit, now none; to do: turn them on
• custom endpoints: 1, now none; to do: make it again
*If you approve:*
• orders is fenced: its sessions end and it acknowledges no more writes
• db.example.com moves from orders.cluster-x.us-east-1.rds.amazonaws.com to orders-r.cluster-x.us-east-1.rds.amazonaws.com
• db-ro.example.com moves from orders.cluster-ro-x.us-east-1.rds.amazonaws.com to orders-r.cluster-ro-x.us-east-1.rds.amazonaws.com
:warning: what was written to orders after 2026-11-23T10:30:00Z is not on orders-r: it stays on the source, fenced, for 7d
*If you reject:*
• no traffic is moved, and orders-r is deleted if nobody uses it"
    );
}

#[test]
fn an_outcome_as_plain_text() {
    assert_eq!(
        plain(&format::outcome(&Outcome::Recovered(Box::new(recovered())))),
        "\
db.example.com leads to orders-r, which has the data of orders as it was at 2026-11-23T10:30:00Z; orders is fenced
  rewound to       2026-11-23T10:30:00Z
  restored cluster orders-r
  writer           orders-r.cluster-x.us-east-1.rds.amazonaws.com
  record           db.example.com -> orders-r.cluster-x.us-east-1.rds.amazonaws.com (was orders.cluster-x.us-east-1.rds.amazonaws.com)
  fence            orders was fenced at 2026-11-23T10:40:00Z; 3 sessions ended
  not carried over writes from 2026-11-23T10:30:00Z to 2026-11-23T10:40:00Z: kept on orders, which is fenced
  to read it       rewind open operation-001 --from <your address>
                   opens orders to one connection that only reads, for an hour; asks first
  source           orders is kept until 2026-11-30T10:40:00Z, then deleted into a snapshot if nobody uses it
  to keep longer   aws rds add-tags-to-resource …
  to keep forever  aws rds remove-tags-from-resource …
  to undo          rewind undo operation-001
                   until 2026-11-30T10:40:00Z
  checks           none were given
  outage           3.2 s at most: the fence began, and then clients could have a database again
  took             14.1 s; the longest: StartRestore 1.5 s
"
    );
}

#[test]
fn people_read_no_part_of_a_second_but_the_milliseconds_of_a_moment() {
    let until = "2026-11-30T10:40:26.95353531Z";
    let mut ended = Recovered { rewound_to: time("2026-11-23T10:30:00.120456Z"), ..recovered() };
    ended.source.keep_until = Some(time(until));
    ended.fence.as_mut().unwrap().fenced_at = time("2026-11-23T10:40:26.95353531Z");
    let writes = ended.not_carried_over.as_mut().unwrap();
    (writes.from, writes.to) = (ended.rewound_to, time("2026-11-23T10:40:26.95353531Z"));
    let text = plain(&format::outcome(&Outcome::Recovered(Box::new(ended))));
    assert!(text.contains("is kept until 2026-11-30T10:40:26Z, then"), "{text}");
    assert!(text.contains("writes from 2026-11-23T10:30:00.120Z to 2026-11-23T10:40:26Z: kept"), "{text}");
    assert!(!text.contains(".95353531"), "{text}");
    let record =
        RecoveryRecord { ended_at: Some(time(until)), fence_begun_at: Some(time(until)), ..recovery_record(&plan()) };
    for document in [format::recovery(&record, time(until)), format::undo(&record)] {
        assert!(!document.to_string().contains(".95353531"), "{document}");
    }
}

#[test]
fn the_end_names_the_cluster_with_the_data_and_the_one_that_clients_are_on() {
    let first =
        |recovered: Recovered| format::outcome(&Outcome::Recovered(Box::new(recovered))).lines()[0].text().to_owned();
    let record = recovered().dns[0].clone();
    let two = Recovered { dns: vec![record.clone(), record], ..recovered() };
    assert!(first(two).starts_with("db.example.com and 1 more lead to orders-r, which has the data of orders"));
    assert!(first(recovered()).ends_with("; orders is fenced"));
    let open = first(Recovered { unconfirmed: Some("app is on orders".to_owned()), ..recovered() });
    assert!(open.contains("NOT CONFIRMED") && open.ends_with("app is on orders"), "{open}");
    assert!(!open.contains("orders is fenced"), "{open}");
    let beside = Recovered { dns: Vec::new(), fence: None, ..recovered() };
    assert_eq!(
        first(beside),
        "orders-r has the data of orders as it was at 2026-11-23T10:30:00Z; orders is unchanged, and clients are still on it"
    );
    let in_place = Recovered { new_cluster: None, dns: Vec::new(), ..recovered() };
    assert_eq!(first(in_place), "orders is back as it was at 2026-11-23T10:30:00Z");
}

#[test]
fn the_end_of_an_undo_names_the_time_at_which_the_last_name_led_to_the_source() {
    let undone = serde_json::json!({
        "outcome": "Undone", "recoveryId": "r-1", "cluster": "orders", "newCluster": "orders-r",
        "dns": [{ "name": "db.example.com", "from": "b", "to": "a", "ttl": 5 }],
        "undone": ["db.example.com was seen to lead to orders at 2026-11-23T10:52:00Z"],
    });
    let text = |more: serde_json::Value| {
        let mut undone = undone.clone();
        undone.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        plain(&format::outcome(&Outcome::read(&undone).unwrap()))
    };
    let at = serde_json::json!("2026-11-23T10:52:00Z");
    let confirmed = text(serde_json::json!({ "confirmedAt": at, "unconfirmed": null }));
    assert!(
        confirmed.contains("back on orders; the last name was seen to lead there at 2026-11-23T10:52:00Z"),
        "{confirmed}"
    );
    assert!(confirmed.contains("db.example.com was seen to lead to orders"), "{confirmed}");
    let open = text(serde_json::json!({ "confirmedAt": at, "unconfirmed": "the fence of orders-r does not hold" }));
    assert!(open.contains("NOT CONFIRMED") && !open.contains("traffic is back"), "{open}");
    // Of a version that confirmed no name.
    assert!(text(serde_json::json!({})).starts_with("Undone: traffic is back on orders\n"), "{confirmed}");
}

#[test]
fn the_end_has_checks_rows_and_what_is_to_do_and_how_long_people_took() {
    let text = plain(&format::outcome(&Outcome::Recovered(Box::new(recovered_with_everything()))));
    for part in [
        "1 of 2 passed",
        "public.orders in shop: 2 rows, 0 on the source",
        "log exports: turn them on",
        "estimates        shop: 3 of 4 tables are there; missing on orders-r: public.orders_archive (about 800 rows)",
        "10.0 s waiting for people, 4.1 s working",
    ] {
        assert!(text.contains(part), "{text}\nlacks {part}");
    }
    // Values are data of the database, and this goes to mail and chat.
    assert!(!text.contains("found 3"), "{text}");
}
