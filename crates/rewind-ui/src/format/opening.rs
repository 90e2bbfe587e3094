//! A way into what a recovery left behind: before it is opened, once it is open, and closed.

use crate::document::Document;
use jiff::SignedDuration;
use rewind_core::{Opening, RecoveryRecord, Strategy, format_duration, format_time};

/// Formats what is about to be opened, for whoever confirms it.
pub fn to_open(recovery: &RecoveryRecord, cluster: &str, from: &str, length: SignedDuration) -> Document {
    let mut document = Document::new();
    document.heading(format!("Opening {cluster}, which {} left behind:", recovery.id));
    document.item(format!(
        "a login is made that reads one database of {cluster}, one connection at a time, and writes nothing"
    ));
    document.item(format!(
        "{from} alone is let in, for {}; then the session that reads ends, and the login goes",
        format_duration(length)
    ));
    let in_place = recovery.plan.as_ref().is_some_and(|plan| plan.strategy == Strategy::Backtrack);
    if !in_place {
        document.item(format!("the fence of {cluster} stays up for everybody else, and traffic stays where it is"));
    }
    document.item("it is recorded who reads, from where and until when, and an event says so");
    document
}

/// Formats how to connect.
pub fn opened(id: &str, opening: &Opening) -> Document {
    let mut document = Document::new();
    let Opening { by, from, until, at, .. } = opening;
    let Some(at) = at else { return document };
    let until = format_time(*until);
    document.good(format!("{} is open for reading to {by}, from {from}, until {until}", at.cluster));
    document.field("host", &at.host);
    document.field("port", at.port);
    document.field("database", &at.database);
    document.field("user", &at.user);
    document.field("network", &at.network);
    for what in &at.unread {
        document.item(what);
    }
    document.field(
        "password",
        format!("aws secretsmanager get-secret-value --secret-id '{}' --query SecretString --output text", at.secret),
    );
    document.field(
        "connect",
        match at.engine.as_str() {
            "aurora-mysql" => format!(
                "mysql --host={} --port={} --user={} --password --ssl-mode=REQUIRED {}",
                at.host, at.port, at.user, at.database
            ),
            _ => format!(
                "psql 'host={} port={} user={} dbname={} sslmode=require'",
                at.host, at.port, at.user, at.database
            ),
        },
    );
    document.field("close", format!("rewind open {id} --close"));
    document
}

/// Formats that it is closed.
pub fn closed(id: &str) -> Document {
    let mut document = Document::new();
    document.good(format!("what {id} left behind is closed: nobody reads there any more"));
    document
}

#[cfg(test)]
mod tests {
    use super::*;
    use rewind_aws::fixtures::{in_place_plan, plan, recovery_record, time};
    use rewind_core::OpenedAt;

    #[test]
    fn whoever_opens_it_reads_how_to_connect_and_how_to_close() {
        let at = OpenedAt {
            cluster: "orders".into(),
            engine: "aurora-postgresql".into(),
            host: "orders.cluster-x".into(),
            port: 5433,
            database: "shop".into(),
            user: "rewind_open_1".into(),
            secret: "arn:secret".into(),
            network: "203.0.113.7 is admitted".into(),
            unread: vec!["not read: public.a of x".into()],
        };
        let opening = Opening {
            id: "r-1-open".into(),
            by: "ann".into(),
            from: "203.0.113.7".into(),
            until: time("2026-11-23T13:00:00Z"),
            at: Some(at.clone()),
        };
        let text = opened("r-1", &opening).to_string();
        let psql = "psql 'host=orders.cluster-x port=5433 user=rewind_open_1 dbname=shop sslmode=require'";
        for part in ["until 2026-11-23T13:00:00Z", psql, "--secret-id 'arn:secret'", "rewind open r-1 --close"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(text.contains("not read: public.a of x"), "{text}");
        let mysql = OpenedAt { engine: "aurora-mysql".into(), ..at };
        let text = opened("r-1", &Opening { at: Some(mysql), ..opening }).to_string();
        assert!(text.contains("mysql --host=orders.cluster-x --port=5433 --user=rewind_open_1 --password"), "{text}");
    }

    #[test]
    fn whoever_confirms_reads_that_the_fence_stays_where_there_is_one() {
        let length = SignedDuration::from_hours(1);
        let source = to_open(&recovery_record(&plan()), "orders", "203.0.113.7", length).to_string();
        assert!(source.contains("the fence of orders stays up") && source.contains("for 1h"), "{source}");
        let clone = to_open(&recovery_record(&in_place_plan()), "orders-clone", "203.0.113.7", length).to_string();
        assert!(!clone.contains("fence"), "{clone}");
    }
}
