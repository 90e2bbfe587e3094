//! The text of a server's `my.cnf`: written whole at every start, for the same data is a writer's today and a reader's tomorrow.

use std::fmt::Write;
use std::path::Path;

/// The present role of a server.
#[derive(Debug, Clone, Copy)]
pub(super) enum Role<'a> {
    /// It takes writes and logs them.
    Writer {
        log: &'a Path,
        /// True if it runs events.
        events: bool,
    },
    /// It follows a writer.
    Reader { relay: &'a Path },
    /// Only the control plane uses it: it replays the log in `relay`.
    Scratch { relay: &'a Path },
}

/// The identity that a server shows to replicas and clients.
#[derive(Debug, Clone, Copy)]
pub(super) struct Identity<'a> {
    pub id: u32,
    /// `@@report_host`: the name of its endpoint.
    pub name: &'a str,
    pub port: u16,
}

/// The values that differ between servers.
pub(super) struct Settings<'a> {
    pub data: &'a Path,
    pub socket: &'a Path,
    pub temporary: &'a Path,
    /// The certificate and its key; without them there is no TLS.
    pub certificate: Option<(&'a Path, &'a Path)>,
    pub identity: Identity<'a>,
    pub role: Role<'a>,
}

/// Nothing here survives the machine (the stack's data is disposable), so nothing waits for the disk: what was acknowledged
/// survives the end of the server, and that is all. Servers have no network: clients come by our proxy, which tells the server
/// their address over the PROXY protocol.
const FIXED: &str = "\
skip_networking
proxy_protocol_networks = localhost
skip_name_resolve
bind_address = 127.0.0.1
sql_mode = ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION
character_set_server = utf8mb4
collation_server = utf8mb4_general_ci
default_storage_engine = InnoDB
default_time_zone = +00:00
performance_schema = OFF
max_connections = 200
key_buffer_size = 1M
aria_pagecache_buffer_size = 8M
innodb_buffer_pool_size = 32M
innodb_log_file_size = 16M
innodb_data_file_path = ibdata1:4M:autoextend
innodb_autoextend_increment = 1
innodb_flush_log_at_trx_commit = 0
innodb_flush_method = nosync
innodb_doublewrite = OFF
innodb_buffer_pool_dump_at_shutdown = OFF
innodb_buffer_pool_load_at_startup = OFF
innodb_stats_persistent = ON
debug_no_sync = ON
sync_binlog = 0
binlog_format = ROW
expire_logs_days = 0
log_bin_trust_function_creators = ON
skip_slave_start
relay_log_recovery = ON
slave_net_timeout = 10
";

pub(super) fn render(settings: &Settings<'_>) -> String {
    let Settings { data, socket, temporary, certificate, identity, role } = settings;
    let mut text = format!("# Written by the local control plane at every start.\n[mariadbd]\n{FIXED}");
    let mut set = |name: &str, value: &str| {
        // Writing to a string can't fail.
        let _ = writeln!(text, "{name} = {}", quoted(value));
    };
    let path = |path: &Path| path.to_string_lossy().into_owned();
    set("datadir", &path(data));
    set("socket", &path(socket));
    set("tmpdir", &path(temporary));
    set("pid_file", &path(&temporary.join("server.pid")));
    set("server_id", &identity.id.to_string());
    set("report_host", identity.name);
    set("report_port", &identity.port.to_string());
    if let Some((certificate, key)) = certificate {
        set("ssl_cert", &path(certificate));
        set("ssl_key", &path(key));
    }
    match role {
        Role::Writer { log, events } => {
            set("log_bin", &path(&log.join("binlog")));
            // On Aurora enabled events fire on the writer, on a restored cluster at once: what hold-jobs is there for.
            set("event_scheduler", if *events { "ON" } else { "OFF" });
            set("max_allowed_packet", "64M");
        }
        Role::Reader { relay } => {
            set("relay_log", &path(&relay.join("relay")));
            set("read_only", "ON");
            // After a failover the log still holds what this server wrote itself, and its copy does not.
            set("replicate_same_server_id", "ON");
            // The largest that there is: a replica must take whatever event its writer could log.
            set("max_allowed_packet", "1G");
        }
        Role::Scratch { relay } => {
            set("relay_log", &path(&relay.join("relay")));
            set("relay_log_purge", "OFF");
            // What lies there is all that there is: nobody could send it again.
            set("relay_log_recovery", "OFF");
            set("max_allowed_packet", "1G");
        }
    }
    text
}

/// Quotes a value of an option file, where a backslash and a hash have a meaning.
fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', r"\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(role: Role<'_>) -> String {
        render(&Settings {
            data: Path::new("/it's #1/data"),
            socket: Path::new("/s"),
            temporary: Path::new("/t"),
            certificate: None,
            identity: Identity { id: 7, name: "one.example.com", port: 3306 },
            role,
        })
    }

    #[test]
    fn a_path_with_quotes_spaces_and_hashes_stays_whole() {
        assert!(text(Role::Writer { log: Path::new("/l"), events: true }).contains("datadir = \"/it's #1/data\"\n"));
    }

    #[test]
    fn only_a_writer_logs_and_only_a_reader_refuses_writes() {
        let path = Path::new("/p");
        let (writer, reader) = (text(Role::Writer { log: path, events: false }), text(Role::Reader { relay: path }));
        assert!(writer.contains("log_bin = \"/p/binlog\"") && !writer.contains("read_only"));
        assert!(writer.contains("event_scheduler = \"OFF\""), "{writer}");
        assert!(reader.contains("read_only = \"ON\"") && !reader.contains("\nlog_bin ="));
        assert!(!text(Role::Scratch { relay: path }).contains("\nlog_bin ="));
    }
}
