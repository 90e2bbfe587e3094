//! The engines of the API and what differs between them. Which databases stand behind them is decided where clusters are made.

use super::error::ApiError;

/// An engine that clusters can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// Aurora PostgreSQL.
    AuroraPostgresql,
}

impl Engine {
    /// The engine of a request.
    pub fn parse(name: &str) -> Result<Self, ApiError> {
        match name {
            "aurora-postgresql" => Ok(Self::AuroraPostgresql),
            "aurora-mysql" => Err(ApiError::value(
                "Invalid DB engine: aurora-mysql is not offered by this local stack, only aurora-postgresql",
            )),
            _ => Err(ApiError::value("Invalid DB engine")),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AuroraPostgresql => "aurora-postgresql",
        }
    }

    /// Its standard port.
    #[must_use]
    pub fn port(self) -> u16 {
        match self {
            Self::AuroraPostgresql => 5432,
        }
    }

    /// The family of parameter groups for a version.
    #[must_use]
    pub fn family(self, version: &str) -> String {
        format!("{}{}", self.name(), version.split('.').next().unwrap_or_default())
    }

    /// The logs that can be exported.
    #[must_use]
    pub fn log_types(self) -> &'static [&'static str] {
        match self {
            Self::AuroraPostgresql => &["instance", "postgresql", "iam-db-auth-error"],
        }
    }

    /// Whether clusters of it can be rewound in place.
    #[must_use]
    pub fn has_backtrack(self) -> bool {
        match self {
            Self::AuroraPostgresql => false,
        }
    }

    /// A version to run: the one that is installed, or another of the same major that behaves the same.
    pub fn version(self, asked: Option<&str>, installed: &str) -> Result<String, ApiError> {
        let Some(asked) = asked else { return Ok(installed.to_owned()) };
        let major = |version: &str| version.split('.').next().map(str::to_owned);
        if !asked.is_empty() && major(asked) == major(installed) {
            return Ok(asked.to_owned());
        }
        Err(ApiError::combination(format!("Cannot find version {asked} for {}", self.name())))
    }

    /// Refuses names that the engine keeps for itself.
    pub fn check_master(self, user: &str) -> Result<(), ApiError> {
        let good = user.starts_with(|c: char| c.is_ascii_alphabetic())
            && user.len() <= 63
            && user.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !good {
            return Err(ApiError::value(format!(
                "MasterUsername {user:?} must begin with a letter and hold only letters, digits and underscores"
            )));
        }
        let reserved = ["admin", "rdsadmin", "rdsrepladmin", "public", "user"];
        if reserved.contains(&user.to_ascii_lowercase().as_str()) || user.starts_with("rds_") || user.starts_with("pg_")
        {
            return Err(ApiError::value(format!(
                "MasterUsername {user} cannot be used as it is a reserved word used by the engine"
            )));
        }
        Ok(())
    }
}

/// Refuses passwords that RDS refuses.
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
    fn reserved_master_users_and_weak_passwords_are_refused() {
        let engine = Engine::AuroraPostgresql;
        assert!(engine.check_master("postgres").is_ok());
        for user in ["rdsadmin", "rds_superuser", "pg_monitor", "1a", "", "a b"] {
            assert!(engine.check_master(user).is_err(), "{user:?} was accepted");
        }
        assert!(check_password("correct-horse").is_ok());
        for password in ["short", "has space in it", "slash/slash/", "quote\"quote"] {
            assert!(check_password(password).is_err(), "{password:?} was accepted");
        }
    }
}
