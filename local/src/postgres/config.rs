//! The text of a server's `postgresql.conf`: written whole at every start, as a copied data directory brings its source's along.

use jiff::Timestamp;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::Ipv4Addr;
use std::path::Path;

/// The present role of a server.
#[derive(Debug, Clone)]
pub(super) enum Role {
    /// It takes writes.
    Writer,
    /// It follows a writer.
    Reader { upstream: String },
    /// It replays an archive up to a moment, then ends recovery.
    Recovery { archive: std::path::PathBuf, to: Timestamp },
}

/// The values that differ between servers.
pub(super) struct Settings<'a> {
    pub address: Ipv4Addr,
    pub port: u16,
    pub certificate: &'a Path,
    pub key: &'a Path,
    pub hba: &'a Path,
    pub archive: &'a Path,
    pub role: &'a Role,
    /// The values of the cluster's parameter group.
    pub parameters: &'a BTreeMap<String, String>,
}

/// Nothing here survives the machine (the stack's data is disposable), so nothing waits for the disk. Archived segments
/// are hard links, which is safe only because `wal_recycle` is off: a segment is never written again under another name.
const FIXED: &str = "\
unix_socket_directories = ''
ssl = on
password_encryption = 'scram-sha-256'
max_connections = 120
superuser_reserved_connections = 10
shared_buffers = '32MB'
dynamic_shared_memory_type = 'mmap'
fsync = off
synchronous_commit = on
full_page_writes = off
wal_level = 'logical'
wal_recycle = off
wal_init_zero = off
wal_keep_size = '256MB'
max_wal_size = '1GB'
max_wal_senders = 20
max_replication_slots = 20
hot_standby_feedback = on
archive_mode = on
recovery_target_timeline = 'latest'
recovery_target_action = 'promote'
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u@%d '
restart_after_crash = on
";

pub(super) fn render(settings: &Settings<'_>) -> String {
    let Settings { address, port, certificate, key, hba, archive, role, parameters } = settings;
    let mut text = format!("# Written by the local control plane at every start.\n{FIXED}");
    let mut set = |name: &str, value: &str| {
        // Writing to a string can't fail.
        let _ = writeln!(text, "{name} = {}", literal(value));
    };
    set("listen_addresses", &address.to_string());
    set("port", &port.to_string());
    set("ssl_cert_file", &certificate.to_string_lossy());
    set("ssl_key_file", &key.to_string_lossy());
    set("hba_file", &hba.to_string_lossy());
    set("archive_command", &archive_command(archive));
    for (name, value) in *parameters {
        set(name, value);
    }
    match role {
        Role::Writer => {}
        Role::Reader { upstream } => {
            set("primary_conninfo", upstream);
            // A reader that was away for long finds in the archive what the writer has removed since.
            set("restore_command", &restore_command(archive));
        }
        Role::Recovery { archive: from, to } => {
            set("restore_command", &restore_command(from));
            set("recovery_target_time", &to.strftime("%Y-%m-%d %H:%M:%S%.6f+00").to_string());
            // It ends as soon as the volume is there: no subscription may take a change from its publisher meanwhile.
            set("max_logical_replication_workers", "0");
            // Until recovery ends nobody may look: a connection then means that it is over.
            set("hot_standby", "off");
        }
    }
    text
}

// A segment that was archived just before a crash is offered again: the same bytes are fine, others never are.
fn archive_command(archive: &Path) -> String {
    let to = format!("{}/%f", shell(archive));
    format!("if test -e {to}; then cmp -s %p {to}; else ln %p {to}; fi")
}

fn restore_command(archive: &Path) -> String {
    format!("cp {}/%f %p", shell(archive))
}

/// Quotes a path for a command in which PostgreSQL expands `%` and which a shell then reads.
fn shell(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', r"'\''").replace('%', "%%"))
}

/// Quotes a value of `postgresql.conf`, where a backslash escapes too.
fn literal(value: &str) -> String {
    format!("'{}'", value.replace('\\', r"\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(role: &Role, archive: &str) -> String {
        let path = Path::new("/x");
        render(&Settings {
            address: Ipv4Addr::new(127, 33, 7, 10),
            port: 5432,
            certificate: path,
            key: path,
            hba: path,
            archive: Path::new(archive),
            role,
            parameters: &[("max_logical_replication_workers".to_owned(), "7".to_owned())].into(),
        })
    }

    #[test]
    fn a_server_starts_with_its_group_and_a_recovery_without_subscriptions() {
        let workers = |role: &Role| {
            let text = text(role, "/a");
            text.lines().rfind(|line| line.starts_with("max_logical")).unwrap().to_owned()
        };
        assert_eq!(workers(&Role::Writer), "max_logical_replication_workers = '7'");
        let role = Role::Recovery { archive: "/a".into(), to: "2026-11-23T10:30:00Z".parse().unwrap() };
        assert_eq!(workers(&role), "max_logical_replication_workers = '0'");
    }

    #[test]
    fn a_path_with_quotes_spaces_and_percents_reaches_the_shell_whole() {
        let text = text(&Role::Writer, "/it's 100% mine");
        assert!(text.contains(r"ln %p ''/it''\\''''s 100%% mine''/%f"), "{text}");
    }

    #[test]
    fn recovery_stops_at_the_microsecond_asked_for() {
        let role = Role::Recovery { archive: "/a".into(), to: "2026-11-23T10:30:00.5Z".parse().unwrap() };
        assert!(text(&role, "/b").contains("recovery_target_time = '2026-11-23 10:30:00.500000+00'"));
    }

    #[test]
    fn a_writer_follows_nobody_and_replays_nothing() {
        let text = text(&Role::Writer, "/a");
        assert!(!text.contains("primary_conninfo") && !text.contains("restore_command"));
    }
}
