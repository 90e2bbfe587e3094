//! Every screen that a person reads at night, at three widths and without colour, against the committed files in `screens/`.
//! `REWIND_DRAW=1` writes them anew, to be read in the diff.

use super::terminal::{is_command, terminal};
use super::tests::{proposal, recovered_with_everything};
use crate::document::{Document, Line};
use crate::format::{self, Place, Values};
use rewind_aws::fixtures::{plan, recovery_record, time};
use rewind_core::{
    AsOf, ClusterUse, Ending, FencesSeen, FinalSnapshot, FoundCluster, FoundInstance, Inventory, Listed, Measured,
    Metered, MovedRecord, OpenedAt, Opening, Outcome, PendingApproval, Plan, Planned, PossiblyMoved, Prices,
    RecoveryCluster, RecoveryRecord, SafeCommand, Seen, Standing, Undone, open_command,
};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;

const NOW: &str = "2026-11-23T10:45:00Z";

const CAUSE: &str = "the writer of orders-r refused the login; traffic is on the source orders, which is untouched; the restored cluster \
                     orders-r is kept until 2026-11-24T10:45:00Z; next step: rewind resume operation-001 [Unavailable in Verify]";

fn awaiting() -> RecoveryRecord {
    RecoveryRecord {
        id: "rewind-orders-20261123-103500".into(),
        state: "AwaitingApproval".into(),
        started_at: time("2026-11-23T10:35:00Z"),
        approval: Some(PendingApproval {
            task_token: "secret-token".into(),
            hash: "3fa9c1d20b7e".into(),
            requested_at: time("2026-11-23T10:40:00Z"),
            expires_at: time("2026-11-23T11:40:00Z"),
            last_refused: None,
        }),
        ..recovery_record(&plan())
    }
}

/// A fenced source that nobody uses, a restored cluster that has the traffic, one of a recovery that needs a person, and a snapshot.
fn inventory() -> Inventory {
    let found = |name: &str, mark: &str| FoundCluster {
        name: name.into(),
        arn: format!("arn:aws:rds:us-east-1:000000000000:cluster:{name}"),
        status: "available".into(),
        recovery: (mark == "recovery").then(|| "operation-001".into()),
        fenced_by: (mark == "fenced-by").then(|| "operation-001".into()),
        instances: ["1", "2"]
            .map(|n| FoundInstance { name: format!("{name}-{n}"), class: "db.r6g.large".into(), writer: n == "1" })
            .into(),
        ..FoundCluster::default()
    };
    let usage = |state: &str, leads: bool| ClusterUse {
        recovery: Seen::Found(Some(RecoveryRecord { state: state.into(), ..recovery_record(&plan()) })),
        runs: Seen::Found(false),
        fences: Seen::Found(FencesSeen { source: true, restored: false, source_lifted_at: None }),
        leases: vec![("orders".into(), Seen::Found(None))],
        records: vec![("db.example.com".into(), Seen::Found(leads)), ("db-ro.example.com".into(), Seen::Found(leads))],
    };
    let source = FoundCluster { keep_until: Some("2026-11-30T10:40:00Z".into()), ..found("orders", "fenced-by") };
    let left = FoundCluster {
        deletion_protection: true,
        own_parameter_group: Some("orders-r-jobs-held".into()),
        ..found("orders-r", "recovery")
    };
    let not_seen = ClusterUse {
        records: vec![("db.example.com".into(), Seen::Unseen("AWS answered AccessDenied".into()))],
        fences: Seen::Found(FencesSeen { source: false, restored: true, source_lifted_at: None }),
        ..usage("NeedsOperator", false)
    };
    let all = [
        (source, usage("Recovered", false)),
        (found("orders-r", "recovery"), usage("Recovered", true)),
        (left, not_seen),
    ];
    let as_of = AsOf { now: time(NOW), hourly: Some(true) };
    // One is used, one by nobody, and of the third nothing could be measured.
    let measured = |connections| Measured {
        connections_now: Some(connections),
        connections_in_a_day: Some(4 * connections),
        stored: Some(120.0 * 1_073_741_824.0),
        ..Measured::default()
    };
    let prices = Prices { hour: [("db.r6g.large".to_owned(), 0.26)].into(), storage: Some(0.1) };
    let measured = [Some(measured(0)), Some(measured(18)), None];
    let metered = |(found, usage): &(FoundCluster, ClusterUse), measured: Option<Measured>| {
        let metered = Some(Metered::of(found, &prices, measured));
        RecoveryCluster::of(found, usage, as_of).map(|cluster| RecoveryCluster { metered, ..cluster })
    };
    Inventory {
        clusters: all.iter().zip(measured).filter_map(|(one, measured)| metered(one, measured)).collect(),
        clean_up_hourly: as_of.hourly,
        snapshots: vec![FinalSnapshot::new(
            "payments-final-operation-000".into(),
            "payments".into(),
            "available".into(),
            Some(time("2026-11-20T08:00:00Z")),
        )],
        unseen: Vec::new(),
    }
}

fn command(command: &str, effect: &str) -> SafeCommand {
    SafeCommand { command: command.into(), effect: effect.into() }
}

/// The standing of one that was stopped while its source was fenced.
fn stopped() -> Standing {
    Standing {
        brief: "traffic: orders; fenced: orders; kept: orders-r until 2026-11-24T10:45:00Z".into(),
        outage: Some("clients may have no database: db.example.com leads to orders, which may be fenced".into()),
        traffic: vec!["db.example.com leads to orders".into()],
        fenced: vec!["orders".into()],
        fences: vec!["orders is noted as fenced, and its security groups are sg-fence".into()],
        open: None,
        kept: vec!["orders-r (available) until 2026-11-24T10:45:00Z".into()],
        lease: Some("rewind-orders-20261123-103500 holds orders until 2026-11-25T01:50:00Z".into()),
        unseen: vec!["cluster orders-r: AccessDenied to rds:DescribeDBClusters".into()],
        commands: vec![command(
            "rewind undo rewind-orders-20261123-103500",
            "traffic goes back to orders, and its fence is lifted; asks first",
        )],
        ..Standing::default()
    }
}

fn screens() -> Vec<(&'static str, Document)> {
    let ended =
        RecoveryRecord { id: "rewind-payments-20261122-020000".into(), state: "Recovered".into(), ..awaiting() };
    let asked = proposal();
    let request = json!({
        "cluster": "orders", "to": "5m ago", "dns": [{ "hostedZoneId": "Z1", "name": "db.example.com" }], "dryRun": true,
    });
    let mut planned = format::plan(&asked.plan);
    planned.extend(format::start_of(&request, &Plan { ..asked.plan.clone() }));
    let calm = Standing {
        brief: "traffic: orders-r; fenced: orders; kept: orders until 2026-11-30T10:40:00Z".into(),
        outage: None,
        commands: vec![SafeCommand {
            command: "rewind undo rewind-payments-20261122-020000".into(),
            effect: "asks first".into(),
        }],
        ..stopped()
    };
    let stopped_one = RecoveryRecord { state: "NeedsOperator".into(), ..awaiting() };
    let over = RecoveryRecord { state: "NothingChanged".into(), ..awaiting() };
    let listed = [
        Listed { standing: Some(stopped()), ..stopped_one.into() },
        Listed { standing: Some(calm), ..ended.clone().into() },
        Listed::from(over.clone()),
        Listed { unseen: Some("AccessDenied to rds:DescribeDBClusters of orders".into()), ..over.into() },
    ];
    let mut followed = format::failed("operation-001", Ending::NeedsOperator, None, Some(CAUSE));
    followed.extend(format::standing_after(&stopped()));
    let begun = |state: Ending, cause: &str, standing: Standing| {
        let mut screen = format::failed("operation-001", state, None, Some(cause));
        screen.extend(format::standing_after(&Standing { outage: None, unseen: Vec::new(), lease: None, ..standing }));
        screen
    };
    let rolled_back = begun(
        Ending::RolledBack,
        "db.example.com still led to orders after 2m; undone: db.example.com leads to orders again, and its fence is lifted; the restored \
         cluster orders-r is kept with its instances until 2026-11-24T10:45:00Z; it is fenced, and can be read as the master user \
         [RewindFailed in ConfirmCutover]",
        Standing {
            outage_lasted: Some(
                "42.2 s at most: the fence of orders began at 2026-11-23T10:40:00Z, and was lifted at 2026-11-23T10:40:42Z".into(),
            ),
            fences: vec!["orders-r is noted as fenced, and its security groups are sg-fence".into()],
            to_read: Some(
                "log in to orders-r as its master user, from an address that its security groups admit: no command opens it, and the \
                 fence closes every other login"
                    .into(),
            ),
            commands: vec![
                command("rewind status operation-001", "shows this again; it changes nothing"),
                command(
                    "rewind clusters",
                    "shows until when orders-r is kept, and how it is kept longer or removed; it changes nothing",
                ),
            ],
            ..stopped()
        },
    );
    let needs_operator = begun(
        Ending::NeedsOperator,
        "the records of db.example.com lead to orders-r, and clients wrote there; next step: docs/runbook.md#needsoperator [Unavailable in \
         UndoSwapDns]",
        Standing {
            outage_lasted: Some(
                "unknown since 2026-11-23T10:40:00Z: the fence of orders began, and nothing shows when clients could have a database again"
                    .into(),
            ),
            traffic: vec!["db.example.com leads to orders-r".into()],
            commands: vec![command(
                "rewind undo operation-001",
                "traffic goes back to orders, and its fence is lifted; asks first",
            )],
            ..stopped()
        },
    );
    let undone = Undone {
        stays_rewound: false,
        recovery_id: "operation-001".into(),
        undo_id: Some("operation-001-undo".into()),
        by: Some("ann (arn:aws:iam::000000000000:root)".into()),
        cluster: "orders".into(),
        new_cluster: Some("orders-r".into()),
        dns: recovered_with_everything()
            .dns
            .into_iter()
            .map(|record| MovedRecord { from: record.to, to: record.from, ..record })
            .collect(),
        undone: vec![
            "orders-r is fenced: 3 sessions ended".into(),
            "the fence of orders is lifted: it is exactly as it was before it was fenced".into(),
            "the restored cluster orders-r is kept, fenced, until 2026-11-30T10:45:00Z: what clients wrote to it is there; after that it is \
             deleted into a snapshot, if nobody uses or protects it"
                .into(),
        ],
        confirmed_at: Some(time("2026-11-23T10:52:07.183Z")),
        unconfirmed: None,
        timings: BTreeMap::new(),
    };
    let moved = Some(PossiblyMoved { dns: recovered_with_everything().dns, ..PossiblyMoved::default() });
    let mut asked_to_undo = format::undo(&RecoveryRecord { state: "Stopped".into(), moved, ..awaiting() });
    asked_to_undo
        .extend(format::standing_before(&Standing { clusters: vec!["orders is available".into()], ..stopped() }));
    let outcome_of = |outcome| format::outcome(&outcome);
    let mut left = format::failed(
        "operation-001",
        Ending::Stopped,
        Some("Cancelled"),
        Some("ann cancelled it by operation-001-undo"),
    );
    left.extend(format::standing_after(&Standing {
        outage: None,
        commands: vec![
            open_command("rewind-orders-20261123-103500", "orders"),
            command("rewind status operation-001 --follow", "follows it"),
        ],
        ..stopped()
    }));
    let opened = Opening {
        id: "operation-001-open".into(),
        by: "ann (arn:aws:iam::000000000000:root)".into(),
        from: "203.0.113.7".into(),
        until: time("2026-11-23T13:00:00Z"),
        database: None,
        at: Some(OpenedAt {
            cluster: "orders".into(),
            engine: "aurora-postgresql".into(),
            host: "orders.cluster-x.us-east-1.rds.amazonaws.com".into(),
            port: 5432,
            database: "shop".into(),
            user: "rewind_open_3fa9c1d20b7e".into(),
            secret: "arn:aws:secretsmanager:us-east-1:000000000000:secret:aurora-rewind/open/operation-001-open".into(),
            network: "203.0.113.7 is admitted to port 5432".into(),
            unread: vec!["not read: public.audit, whose owner's role the master user may not take".into()],
        }),
    };
    vec![
        ("followed", followed),
        ("left", left),
        ("opened", format::opened("operation-001", &opened)),
        ("reject", format::rejection(&awaiting())),
        ("detached", format::detached("rewind-orders-20261123-103500", false)),
        ("rolled-back", rolled_back),
        ("needs-operator", needs_operator),
        ("undone", outcome_of(Outcome::Undone(Box::new(undone)))),
        ("undo", asked_to_undo),
        (
            "planned",
            outcome_of(Outcome::Planned(Box::new(Planned {
                recovery_id: "plan-orders".into(),
                plan: asked.plan.clone(),
            }))),
        ),
        ("status", format::recovery(&awaiting(), time(NOW))),
        ("list", format::recoveries(&listed, time(NOW), Place::Terminal)),
        ("clusters", format::clusters(&inventory(), time(NOW))),
        ("remove", format::removal(&RecoveryCluster { metered: None, ..inventory().clusters[0].clone() }, Some(true))),
        ("plan", planned),
        ("approval", format::proposal(&asked, Values::Shown)),
        (
            "asked",
            format::approval_request(
                "operation-001",
                &asked,
                &asked.hash(),
                time("2026-11-23T11:40:00Z"),
                Place::Terminal,
            ),
        ),
        ("end", format::outcome(&Outcome::Recovered(Box::new(recovered_with_everything())))),
        ("failure", format::failed("operation-001", Ending::NothingChanged, None, Some(CAUSE))),
    ]
}

#[test]
fn every_screen_is_the_committed_one_at_60_80_and_120_columns() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/render/screens");
    let draw = std::env::var_os("REWIND_DRAW").is_some();
    for (name, document) in screens() {
        for width in [60, 80, 120] {
            let (drawn, file) = (terminal(&document, false, Some(width)), folder.join(format!("{name}.{width}.txt")));
            if draw {
                std::fs::write(&file, &drawn).unwrap();
            }
            let committed = std::fs::read_to_string(&file).unwrap_or_default();
            assert!(drawn == committed, "{name} at {width} columns is another: REWIND_DRAW=1 writes it anew\n{drawn}");
        }
    }
}

#[test]
fn no_line_is_wider_than_the_terminal_but_for_one_command_and_words_that_are_longer() {
    for (name, document) in screens() {
        let commands: Vec<&str> = document.lines().iter().map(Line::text).filter(|text| is_command(text)).collect();
        for width in [60, 80, 120] {
            for line in terminal(&document, false, Some(width)).lines() {
                // Whoever copies such a line has the command, and no word that is none of it.
                let is_one_command = commands.contains(&line.trim_start().trim_start_matches("- "));
                let has_room = line.chars().count() <= width || is_one_command;
                let indent = line.chars().take_while(|c| *c == ' ').count();
                let is_one_word = !line.trim().contains(' ') && indent < width;
                assert!(has_room || is_one_word, "{name} at {width}: {line}");
            }
        }
    }
}

#[test]
fn no_command_has_a_word_of_a_sentence_behind_it() {
    for (name, document) in screens() {
        for command in document.lines().iter().map(Line::text).filter(|text| is_command(text)) {
            for of_a_sentence in [" (", ", until", "; asks", "; it "] {
                assert!(!command.contains(of_a_sentence), "{name}: {command}");
            }
        }
    }
}

#[test]
fn a_screen_has_the_same_words_at_every_width() {
    let words = |text: &str| text.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>();
    for (name, document) in screens() {
        let whole = terminal(&document, false, None);
        for width in [60, 80, 120] {
            assert_eq!(words(&terminal(&document, false, Some(width))), words(&whole), "{name} at {width}");
        }
    }
}
