//! The parameters of DB cluster parameter groups: their types, defaults and allowed values.
//!
//! A few of them matter here: `binlog_format`, for Backtrack asks about it, and those that reach the servers: `event_scheduler`, and
//! what PostgreSQL's background workers start with.

use super::engine::Engine;
use super::error::ApiError;

/// The parameter that turns binary logging on.
pub const BINLOG_FORMAT: &str = "binlog_format";

/// The parameter that turns the event scheduler on: events fire on a restored cluster as soon as it has a writer.
pub const EVENT_SCHEDULER: &str = "event_scheduler";

/// The parameters that PostgreSQL servers are started with, where a group sets them.
pub const READ_BY_POSTGRESQL: [&str; 2] = ["cron.database_name", "max_logical_replication_workers"];

/// A parameter of a family.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    pub name: &'static str,
    /// The value that RDS sets; none where the engine's own default stays.
    pub default: Option<&'static str>,
    /// A list of values, or a range of numbers.
    pub allowed: Option<&'static str>,
    pub data_type: &'static str,
    /// True when a change takes effect without a reboot.
    pub is_dynamic: bool,
    pub is_modifiable: bool,
    pub description: &'static str,
}

const BOOLEAN: Option<&str> = Some("0,1");

const fn parameter(name: &'static str, data_type: &'static str, description: &'static str) -> Parameter {
    Parameter { name, default: None, allowed: None, data_type, is_dynamic: true, is_modifiable: true, description }
}

impl Parameter {
    const fn set(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    const fn allows(self, allowed: Option<&'static str>) -> Self {
        Self { allowed, ..self }
    }

    const fn at_reboot(self) -> Self {
        Self { is_dynamic: false, ..self }
    }

    const fn fixed(self) -> Self {
        Self { is_modifiable: false, ..self }
    }

    /// Refuses a value that it does not take.
    pub fn check(&self, value: &str) -> Result<(), ApiError> {
        if !self.is_modifiable {
            return Err(ApiError::value(format!("The parameter {} cannot be modified.", self.name)));
        }
        let Some(allowed) = self.allowed else { return Ok(()) };
        // AWS writes ranges as 0-2 and lists with commas; no value in a list has a hyphen between two numbers.
        let range = allowed.split_once('-').and_then(|(low, high)| Some(low.parse::<i64>().ok()?..=high.parse().ok()?));
        let good = match range {
            Some(range) => value.parse().is_ok_and(|number| range.contains(&number)),
            None => allowed.split(',').any(|one| one == value),
        };
        if good {
            return Ok(());
        }
        Err(ApiError::value(format!(
            "Invalid parameter value: {value} for: {} allowed values are: {allowed}",
            self.name
        )))
    }
}

/// The parameters of an engine's clusters, in the order of their names.
pub fn of(engine: Engine) -> &'static [Parameter] {
    match engine {
        Engine::AuroraMysql => MYSQL,
        Engine::AuroraPostgresql => POSTGRESQL,
    }
}

/// A parameter by name.
pub fn find(engine: Engine, name: &str) -> Result<&'static Parameter, ApiError> {
    let found = of(engine).iter().find(|parameter| parameter.name == name);
    found.ok_or_else(|| ApiError::value(format!("Could not find parameter with name: {name}")))
}

// A part of what Aurora MySQL 3 has: the parameters that the product reads or that change what it does. The rest would only be noise in
// pages of a hundred.
const MYSQL: &[Parameter] = &[
    parameter("aurora_load_from_s3_role", "string", "ARN of the IAM role used to load data from Amazon S3"),
    parameter("aurora_select_into_s3_role", "string", "ARN of the IAM role used to select into Amazon S3"),
    parameter("aws_default_lambda_role", "string", "ARN of the IAM role used to invoke AWS Lambda"),
    parameter("aws_default_s3_role", "string", "ARN of the IAM role used to reach Amazon S3"),
    parameter("binlog_checksum", "string", "Checksum written with each event of the binary log")
        .set("NONE")
        .allows(Some("NONE,CRC32"))
        .at_reboot(),
    // Backtrack asks for Force while this is on: the one parameter here that changes what the control plane does.
    parameter(BINLOG_FORMAT, "string", "Format of the binary log; OFF turns it off")
        .set("OFF")
        .allows(Some("ROW,STATEMENT,MIXED,OFF"))
        .at_reboot(),
    parameter("binlog_row_image", "string", "Which columns row events hold").allows(Some("FULL,MINIMAL,NOBLOB")),
    parameter("character_set_client", "string", "Character set of statements that come from a client"),
    parameter("character_set_connection", "string", "Character set of literals"),
    parameter("character_set_database", "string", "Character set of the default database"),
    parameter("character_set_filesystem", "string", "Character set of file names"),
    parameter("character_set_results", "string", "Character set of results"),
    parameter("character_set_server", "string", "Character set of new databases"),
    parameter("collation_connection", "string", "Collation of literals"),
    parameter("collation_server", "string", "Collation of new databases"),
    parameter("default_storage_engine", "string", "Storage engine of new tables").set("InnoDB").fixed(),
    parameter("enforce_gtid_consistency", "string", "Whether only statements are run that GTIDs can log safely")
        .allows(Some("OFF,ON,WARN"))
        .at_reboot(),
    // On unless a group turns it off, as in MySQL 8.0: events act by themselves wherever nobody prevents it.
    parameter(EVENT_SCHEDULER, "string", "Whether events are run").set("ON").allows(Some("ON,OFF")),
    parameter("gtid-mode", "string", "Whether transactions carry GTIDs")
        .set("OFF_PERMISSIVE")
        .allows(Some("OFF,OFF_PERMISSIVE,ON_PERMISSIVE,ON"))
        .at_reboot(),
    parameter("innodb_autoinc_lock_mode", "integer", "Locking of auto-increment values")
        .allows(Some("0-2"))
        .at_reboot(),
    parameter("innodb_file_per_table", "boolean", "Whether each table has a tablespace of its own").allows(BOOLEAN),
    parameter("innodb_flush_log_at_trx_commit", "integer", "When the log is flushed").set("1").allows(Some("0-2")),
    parameter("lower_case_table_names", "integer", "Case of table names").allows(Some("0-1")).at_reboot(),
    parameter("require_secure_transport", "string", "Whether clients must use TLS").set("OFF").allows(Some("ON,OFF")),
    parameter("server_audit_events", "string", "Which events are audited"),
    parameter("server_audit_logging", "boolean", "Whether events are audited").set("0").allows(BOOLEAN),
    parameter("server_id", "integer", "Number of the server in replication").fixed(),
    parameter("time_zone", "string", "Time zone of the server").set("UTC"),
    parameter("tls_version", "string", "Versions of TLS").set("TLSv1.2,TLSv1.3").at_reboot(),
];

const POSTGRESQL: &[Parameter] = &[
    parameter("cron.database_name", "string", "Sets the database to store pg_cron metadata tables")
        .set("postgres")
        .at_reboot(),
    parameter("log_statement", "string", "Which statements are logged").allows(Some("none,ddl,mod,all")),
    parameter("max_logical_replication_workers", "integer", "Maximum number of logical replication worker processes")
        .allows(Some("0-262143"))
        .at_reboot(),
    parameter("rds.force_ssl", "boolean", "Whether clients must use TLS").set("0").allows(BOOLEAN),
    parameter("rds.logical_replication", "boolean", "Whether logical decoding is on")
        .set("0")
        .allows(BOOLEAN)
        .at_reboot(),
    parameter("shared_preload_libraries", "list", "Libraries that are loaded at the start")
        .set("pg_stat_statements")
        .at_reboot(),
    parameter("timezone", "string", "Time zone of the server").set("UTC"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameters_of_each_engine_are_in_order_and_take_their_own_defaults() {
        for engine in Engine::ALL {
            assert!(of(engine).is_sorted_by_key(|parameter| parameter.name), "{engine:?}");
            for parameter in of(engine).iter().filter(|parameter| parameter.is_modifiable) {
                assert!(parameter.default.is_none_or(|default| parameter.check(default).is_ok()), "{parameter:?}");
            }
        }
    }

    #[test]
    fn what_postgresql_is_started_with_takes_a_reboot() {
        for name in READ_BY_POSTGRESQL {
            assert!(!find(Engine::AuroraPostgresql, name).unwrap().is_dynamic, "{name}");
        }
    }

    #[test]
    fn a_value_outside_the_list_or_the_range_is_refused() {
        let check = |name, value| find(Engine::AuroraMysql, name).unwrap().check(value);
        assert!(check(BINLOG_FORMAT, "ROW").is_ok());
        assert!(check("innodb_autoinc_lock_mode", "2").is_ok());
        for (name, value) in [(BINLOG_FORMAT, "ON"), ("innodb_autoinc_lock_mode", "3"), ("server_id", "7")] {
            assert_eq!(check(name, value).unwrap_err().code, "InvalidParameterValue", "{name}={value}");
        }
        assert_eq!(find(Engine::AuroraPostgresql, BINLOG_FORMAT).unwrap_err().code, "InvalidParameterValue");
    }
}
