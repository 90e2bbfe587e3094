//! The accounts that belong to AWS and to the servers themselves, by name: a fence closes none of them. A name that only looks
//! like one of them (`rds_app`) is an application's, because AWS reserves no prefix.
//!
//! Sources: Aurora user guide, "Master user account privileges" and "Security with Amazon Aurora MySQL" (`rdsadmin`),
//! "Role-based privilege model" (`rds_superuser_role`, the roles `AWS_…_ACCESS`), "Understanding the `rds_superuser` role"
//! (PostgreSQL's `rds_…` roles), "Using local write forwarding" (`rdswriteforwarduser`), "Using Amazon RDS Proxy"
//! (`rdsproxyadmin`); MySQL reference manual, "Reserved accounts". `rdsrepladmin` and `rdstopmgr` are in every cluster's
//! list of users, and in no guide.

/// Accounts of AWS's own, on either engine.
const AWS: [&str; 5] = ["rdsadmin", "rdsrepladmin", "rdstopmgr", "rdsproxyadmin", FORWARDING];

/// The user as which readers send writes to the writer: it writes what an application on a reader asked for.
const FORWARDING: &str = "rdswriteforwarduser";

/// AWS's roles on Aurora PostgreSQL.
const POSTGRESQL: [&str; 9] = [
    "rds_ad",
    "rds_extension",
    "rds_iam",
    "rds_password",
    "rds_replication",
    "rds_reserved",
    "rds_superuser",
    "rds_activity_stream",
    "rds_lakehouse",
];

/// AWS's roles on Aurora MySQL, and the accounts of MySQL and MariaDB that own their system views.
const MYSQL: [&str; 11] = [
    "rds_superuser_role",
    "AWS_BEDROCK_ACCESS",
    "AWS_COMPREHEND_ACCESS",
    "AWS_LAMBDA_ACCESS",
    "AWS_LOAD_S3_ACCESS",
    "AWS_SAGEMAKER_ACCESS",
    "AWS_SELECT_S3_ACCESS",
    "mysql.infoschema",
    "mysql.session",
    "mysql.sys",
    "mariadb.sys",
];

/// The reserved names of PostgreSQL whose logins stay as they are.
pub(crate) fn postgresql_logins() -> impl Iterator<Item = &'static str> {
    AWS.into_iter().chain(POSTGRESQL)
}

/// The reserved names of PostgreSQL whose sessions are left alone.
pub(crate) fn postgresql_sessions() -> impl Iterator<Item = &'static str> {
    postgresql_logins().filter(|name| *name != FORWARDING)
}

/// True if a login of MySQL stays as it is.
pub(crate) fn is_mysql_login(user: &str) -> bool {
    AWS.contains(&user) || MYSQL.contains(&user)
}

/// True if a session of MySQL is left alone.
pub(crate) fn is_mysql_session(user: &str) -> bool {
    // What a reader forwarded is a client's write, and would be acknowledged to it through the reader.
    is_mysql_login(user) && user != FORWARDING
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_the_beginning_of_an_aws_account_is_an_applications() {
        for user in ["rds_app", "rds_", "rdsadmin2", "mysql.app", "RDSADMIN", "AWS_APP_ACCESS", "rds_superuser_role_2"]
        {
            assert!(!is_mysql_login(user) && !is_mysql_session(user), "{user}");
            assert!(!postgresql_logins().any(|name| name == user), "{user}");
        }
        assert!(is_mysql_login("rdsadmin") && is_mysql_session("mysql.session"));
    }

    #[test]
    fn forwarded_writes_are_ended_although_their_login_stays() {
        assert!(is_mysql_login(FORWARDING) && !is_mysql_session(FORWARDING));
        assert!(postgresql_logins().any(|name| name == FORWARDING));
        assert!(!postgresql_sessions().any(|name| name == FORWARDING));
    }
}
