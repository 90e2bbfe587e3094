//! The engines of the API, and their differences. The servers behind them are in `database`.

use super::error::ApiError;

/// An engine that clusters can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// Aurora MySQL.
    AuroraMysql,
    /// Aurora PostgreSQL.
    AuroraPostgresql,
}

/// The version of Aurora MySQL for clusters whose request names none.
pub const AURORA_MYSQL: &str = "8.0.mysql_aurora.3.08.0";
/// The prefix of every version of Aurora MySQL 3.
const AURORA_MYSQL_3: &str = "8.0.mysql_aurora.3.";

impl Engine {
    /// All of them, in the order of their names.
    pub const ALL: [Self; 2] = [Self::AuroraMysql, Self::AuroraPostgresql];

    /// Parses the engine of a request.
    pub fn parse(name: &str) -> Result<Self, ApiError> {
        let found = Self::ALL.into_iter().find(|engine| engine.name() == name);
        found.ok_or_else(|| ApiError::value("Invalid DB engine"))
    }

    /// Returns the name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AuroraMysql => "aurora-mysql",
            Self::AuroraPostgresql => "aurora-postgresql",
        }
    }

    /// Returns the standard port.
    #[must_use]
    pub fn port(self) -> u16 {
        match self {
            Self::AuroraMysql => 3306,
            Self::AuroraPostgresql => 5432,
        }
    }

    /// Returns the part of a version that parameter groups and upgrades go by: `8.0` or `15`.
    #[must_use]
    pub fn major(self, version: &str) -> String {
        let parts = match self {
            Self::AuroraMysql => 2,
            Self::AuroraPostgresql => 1,
        };
        version.split('.').take(parts).collect::<Vec<_>>().join(".")
    }

    /// Returns the family of parameter groups for a version.
    #[must_use]
    pub fn family(self, version: &str) -> String {
        format!("{}{}", self.name(), self.major(version))
    }

    /// Lists the logs that can be exported.
    #[must_use]
    pub fn log_types(self) -> &'static [&'static str] {
        match self {
            Self::AuroraMysql => &["audit", "error", "general", "iam-db-auth-error", "instance", "slowquery"],
            Self::AuroraPostgresql => &["instance", "postgresql", "iam-db-auth-error"],
        }
    }

    /// True when clusters of it can be rewound in place.
    #[must_use]
    pub fn has_backtrack(self) -> bool {
        match self {
            Self::AuroraMysql => true,
            Self::AuroraPostgresql => false,
        }
    }

    /// Returns the licence, as instances show it.
    #[must_use]
    pub fn license(self) -> &'static str {
        match self {
            Self::AuroraMysql => "general-public-license",
            Self::AuroraPostgresql => "postgresql-license",
        }
    }

    /// Returns the name in the AWS console.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::AuroraMysql => "Aurora MySQL",
            Self::AuroraPostgresql => "Aurora (PostgreSQL)",
        }
    }

    /// Formats engine and version, as `DescribeDBEngineVersions` does.
    #[must_use]
    pub fn description(self, version: &str) -> String {
        match self {
            Self::AuroraMysql => {
                format!("Aurora MySQL {}", version.rsplit_once("mysql_aurora.").map_or(version, |(_, aurora)| aurora))
            }
            Self::AuroraPostgresql => format!("Aurora PostgreSQL (Compatible with PostgreSQL {version})"),
        }
    }

    /// Chooses the version to show: the default one, or another of the same major version.
    pub fn version(self, asked: Option<&str>, default: &str) -> Result<String, ApiError> {
        let Some(asked) = asked else { return Ok(default.to_owned()) };
        // One server stands for all minor versions: the cluster shows what was asked for, as the product passes the source's version on.
        let good = match self {
            // AWS takes the major version alone, and chooses its default minor version.
            Self::AuroraMysql if asked == self.major(default) => return Ok(default.to_owned()),
            Self::AuroraMysql => asked.strip_prefix(AURORA_MYSQL_3).is_some_and(|rest| {
                rest.split('.').count() == 2 && rest.split('.').all(|part| part.parse::<u32>().is_ok())
            }),
            // One PostgreSQL is installed: data of another major version would need its programs.
            Self::AuroraPostgresql => !asked.is_empty() && self.major(asked) == self.major(default),
        };
        if good {
            return Ok(asked.to_owned());
        }
        Err(ApiError::combination(format!("Cannot find version {asked} for {}", self.name())))
    }

    /// Refuses names that the engine keeps for itself.
    pub fn check_master(self, user: &str) -> Result<(), ApiError> {
        // The limits of the API reference; MySQL itself takes 32 characters since 5.7, RDS 16.
        let longest = match self {
            Self::AuroraMysql => 16,
            Self::AuroraPostgresql => 63,
        };
        if !is_word(user, longest) {
            return Err(ApiError::value(format!(
                "MasterUsername {user:?} must begin with a letter and hold only letters, digits and underscores, {longest} at most"
            )));
        }
        let reserved: &[&str] = match self {
            Self::AuroraMysql => &["rdsadmin", "rdsrepladmin", "mysql", "public", "user"],
            Self::AuroraPostgresql => &["admin", "rdsadmin", "rdsrepladmin", "public", "user"],
        };
        // Roles with these prefixes are RDS's and PostgreSQL's own: a master user of that name could pass for one.
        let lower = user.to_ascii_lowercase();
        if reserved.contains(&lower.as_str()) || lower.starts_with("rds_") || lower.starts_with("pg_") {
            return Err(ApiError::value(format!(
                "MasterUsername {user} cannot be used as it is a reserved word used by the engine"
            )));
        }
        Ok(())
    }

    /// Refuses names of databases that the engine keeps for itself.
    pub fn check_database(self, name: &str) -> Result<(), ApiError> {
        let (longest, reserved): (usize, &[&str]) = match self {
            Self::AuroraMysql => (64, &["information_schema", "innodb", "mysql", "performance_schema", "sys", "tmp"]),
            // `postgres` is there already, and the others are the server's and the control plane's own.
            Self::AuroraPostgresql => (63, &["rdsadmin", "postgres", "template0", "template1", "db"]),
        };
        if !is_word(name, longest) {
            return Err(ApiError::value(
                "DatabaseName must begin with a letter and contain only alphanumeric characters.",
            ));
        }
        if reserved.contains(&name.to_ascii_lowercase().as_str()) {
            return Err(ApiError::value(format!(
                "DatabaseName {name} cannot be used. It is a reserved word for this engine"
            )));
        }
        Ok(())
    }

    /// Builds the refusal of Backtrack by an engine that has none, with AWS's wording.
    pub fn no_backtrack(self, version: &str) -> ApiError {
        let engine = match self {
            Self::AuroraMysql => "Aurora MySQL",
            Self::AuroraPostgresql => "Aurora PostgreSQL",
        };
        ApiError::combination(format!(
            "{engine} Engine Version {version} with mode: PROVISIONED does not support Backtrack."
        ))
    }
}

fn is_word(text: &str, longest: usize) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.len() <= longest
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Refuses passwords that RDS refuses: they would pass here and fail on AWS.
pub fn check_password(password: &str) -> Result<(), ApiError> {
    if !(8..=128).contains(&password.chars().count()) {
        return Err(ApiError::value(
            "The parameter MasterUserPassword is not a valid password because it is shorter than 8 or longer than 128 characters.",
        ));
    }
    if password.chars().any(|c| !c.is_ascii_graphic() || matches!(c, '/' | '@' | '"')) {
        return Err(ApiError::value(
            "The parameter MasterUserPassword is not a valid password. Only printable ASCII characters besides '/', '@', '\"', ' ' may be used.",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minor_version_of_the_installed_major_is_accepted_and_another_major_is_not() {
        let engine = Engine::AuroraPostgresql;
        assert_eq!(engine.version(None, "15.20").unwrap(), "15.20");
        assert_eq!(engine.version(Some("15.4"), "15.20").unwrap(), "15.4");
        assert_eq!(engine.version(Some("16.1"), "15.20").unwrap_err().code, "InvalidParameterCombination");
        assert_eq!(engine.family("15.4"), "aurora-postgresql15");
    }

    #[test]
    fn every_version_of_aurora_mysql_3_is_accepted_and_nothing_else() {
        let engine = Engine::AuroraMysql;
        for (asked, run) in [
            (None, AURORA_MYSQL),
            (Some("8.0"), AURORA_MYSQL),
            (Some("8.0.mysql_aurora.3.04.1"), "8.0.mysql_aurora.3.04.1"),
        ] {
            assert_eq!(engine.version(asked, AURORA_MYSQL).unwrap(), run);
        }
        for wrong in ["", "8", "8.0.39", "5.7.mysql_aurora.2.11.1", "8.0.mysql_aurora.3.", "8.0.mysql_aurora.3.x.1"] {
            let refused = engine.version(Some(wrong), AURORA_MYSQL).unwrap_err();
            assert_eq!(refused.code, "InvalidParameterCombination", "{wrong}");
        }
        assert_eq!(engine.family(AURORA_MYSQL), "aurora-mysql8.0");
        assert_eq!(engine.description(AURORA_MYSQL), "Aurora MySQL 3.08.0");
    }

    #[test]
    fn reserved_master_users_and_weak_passwords_are_refused() {
        assert!(Engine::AuroraPostgresql.check_master("postgres").is_ok());
        assert!(Engine::AuroraMysql.check_master("admin").is_ok());
        for user in ["rdsadmin", "rds_superuser", "1a", "", "a b", "RDSADMIN"] {
            for engine in Engine::ALL {
                assert!(engine.check_master(user).is_err(), "{user:?} was accepted");
            }
        }
        assert!(Engine::AuroraPostgresql.check_master("admin").is_err());
        assert!(Engine::AuroraPostgresql.check_master("pg_monitor").is_err());
        assert!(Engine::AuroraMysql.check_master("a_name_of_17_char").is_err());
        assert!(check_password("correct-horse").is_ok());
        for password in ["short", "has space in it", "slash/slash/", "quote\"quote"] {
            assert!(check_password(password).is_err(), "{password:?} was accepted");
        }
    }

    #[test]
    fn reserved_database_names_are_refused_by_the_engine_that_reserves_them() {
        for (engine, wrong, good) in
            [(Engine::AuroraMysql, "mysql", "postgres"), (Engine::AuroraPostgresql, "postgres", "mysql")]
        {
            assert_eq!(engine.check_database(wrong).unwrap_err().code, "InvalidParameterValue");
            assert!(engine.check_database(good).is_ok());
        }
    }
}
