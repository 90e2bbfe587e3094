//! Instances: how they are read, created, deleted and made the writer, and what a refusal of AWS to create one is for. The step
//! decides what to do about a refusal.

use super::adapter::Rds;
use super::translate::{is, write_tags};
use super::{ChangeInstances, Created, FailOverClusters, NewInstance, RebootInstances, Refusal, RefusedFor};
use crate::AwsResult;
use crate::classify::{Call, classify, code};
use aws_sdk_rds::operation::create_db_instance::builders::CreateDBInstanceFluentBuilder as CreateCall;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use rewind_core::ErrorName;

impl ChangeInstances for Rds {
    /// IAM: `rds:CreateDBInstance`, `rds:AddTagsToResource`, `iam:PassRole`.
    async fn create_instance(&self, new: &NewInstance<'_>) -> AwsResult<Created> {
        let like = new.like;
        // RDS refuses the role or the key of a feature that the same call leaves off.
        let monitored = like.monitoring_interval > 0;
        let mut call = self
            .0
            .create_db_instance()
            .db_instance_identifier(new.name)
            .db_cluster_identifier(&new.cluster.name)
            .engine(new.cluster.engine.name())
            .db_instance_class(&like.class)
            .promotion_tier(like.promotion_tier)
            .set_availability_zone(like.availability_zone.clone())
            .set_db_parameter_group_name(like.parameter_group.clone())
            .set_preferred_maintenance_window(like.maintenance_window.clone())
            .set_auto_minor_version_upgrade(like.auto_minor_version_upgrade)
            .set_publicly_accessible(like.publicly_accessible)
            .set_ca_certificate_identifier(like.ca_certificate.clone())
            .set_monitoring_interval(monitored.then_some(like.monitoring_interval))
            .set_monitoring_role_arn(like.monitoring_role.clone().filter(|_| monitored))
            .set_enable_performance_insights(like.performance_insights.then_some(true))
            .set_performance_insights_kms_key_id(
                like.performance_insights_key.clone().filter(|_| like.performance_insights),
            )
            .set_performance_insights_retention_period(
                like.performance_insights_retention.filter(|_| like.performance_insights),
            )
            .set_tags(Some(write_tags(new.tags)));
        loop {
            // The loop ends: each round leaves out one more setting, and any other refusal is returned.
            let refused = match call.clone().send().await {
                Ok(_) => return Ok(Created::Yes),
                Err(e) if is(code(&e), "DBInstanceAlreadyExists") => return Ok(Created::NameTaken),
                Err(e) => e,
            };
            // An error code means that nothing was created, so it is safe to send the call again with one setting less.
            let message = refused.as_service_error().and_then(ProvideErrorMetadata::message).unwrap_or_default();
            let code = code(&refused).unwrap_or_default();
            if let Some(less) = without_refused(call.clone(), code, message) {
                call = less;
                continue;
            }
            let error = classify(&refused, Call::Change, &format!("rds:CreateDBInstance of {}", new.name));
            // What may pass or may have been carried out is an error: the step is repeated.
            if error.name != ErrorName::RewindFailed {
                return Err(error);
            }
            let why = refused_for(code, message, &like.class, like.availability_zone.as_deref());
            return Ok(Created::Refused(Refusal { why, message: format!("{code}: {message}") }));
        }
    }

    /// IAM: `rds:DeleteDBInstance`.
    async fn delete_instance(&self, name: &str) -> AwsResult<()> {
        // An Aurora instance holds no data of its own: a snapshot, where one is taken, is of the cluster.
        match self.0.delete_db_instance().db_instance_identifier(name).skip_final_snapshot(true).send().await {
            Ok(_) => Ok(()),
            Err(e) if is(code(&e), "DBInstanceNotFound") => Ok(()),
            Err(e) => Err(classify(&e, Call::Change, &format!("rds:DeleteDBInstance of {name}"))),
        }
    }
}

impl FailOverClusters for Rds {
    /// IAM: `rds:FailoverDBCluster`.
    async fn fail_over(&self, cluster: &str, to: &str) -> AwsResult<()> {
        let call = self.0.failover_db_cluster().db_cluster_identifier(cluster).target_db_instance_identifier(to);
        let what = format!("rds:FailoverDBCluster of {cluster} to {to}");
        call.send().await.map_err(|e| classify(&e, Call::Change, &what))?;
        Ok(())
    }
}

impl RebootInstances for Rds {
    /// IAM: `rds:RebootDBInstance`.
    async fn reboot_instance(&self, name: &str) -> AwsResult<()> {
        let call = self.0.reboot_db_instance().db_instance_identifier(name);
        call.send().await.map_err(|e| classify(&e, Call::Change, &format!("rds:RebootDBInstance of {name}")))?;
        Ok(())
    }
}

/// Returns the call without the setting that AWS refused, if an instance can do without that.
fn without_refused(call: CreateCall, code: &str, message: &str) -> Option<CreateCall> {
    let wrong = is_wrong_value(code);
    // AWS retires certificate authorities that old instances still have, and gives a new instance its default.
    if let Some(certificate) = call.get_ca_certificate_identifier()
        && (is(Some(code), "CertificateNotFound") || wrong && message.contains(certificate.as_str()))
    {
        return Some(call.set_ca_certificate_identifier(None));
    }
    // The code is the same for every wrong value: only the message tells that it is the window.
    if wrong && message.contains("overlap") && call.get_preferred_maintenance_window().is_some() {
        return Some(call.set_preferred_maintenance_window(None));
    }
    None
}

/// Finds out what AWS refused an instance of this class and zone for.
fn refused_for(code: &str, message: &str, class: &str, zone: Option<&str>) -> RefusedFor {
    let of = |wanted: &str| is(Some(code), wanted);
    let names_zone = || {
        let text = message.to_ascii_lowercase();
        text.contains("availability zone")
            || text.contains("availabilityzone")
            || zone.is_some_and(|z| text.contains(z))
    };
    if of("InstanceQuotaExceeded") {
        RefusedFor::Quota
    } else if of("InsufficientDBInstanceCapacity") {
        RefusedFor::Capacity
    } else if of("InvalidVPCNetworkState") || is_wrong_value(code) && names_zone() {
        RefusedFor::Zone
    // The message on a class that is offered no more: "RDS does not support creating a DB instance with the following
    // combination: DBInstanceClass=…".
    } else if is_wrong_value(code) && (message.contains(class) || message.contains("nstance class")) {
        RefusedFor::Class
    } else {
        RefusedFor::Other
    }
}

fn is_wrong_value(code: &str) -> bool {
    ["InvalidParameterValue", "InvalidParameterCombination"].contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> CreateCall {
        let config = aws_sdk_rds::Config::builder().behavior_version_latest().build();
        aws_sdk_rds::Client::from_conf(config)
            .create_db_instance()
            .ca_certificate_identifier("rds-ca-2019")
            .preferred_maintenance_window("sun:05:00-sun:05:30")
    }

    fn left(call: &CreateCall) -> (bool, bool) {
        (call.get_ca_certificate_identifier().is_some(), call.get_preferred_maintenance_window().is_some())
    }

    #[test]
    fn an_instance_does_without_what_aws_gives_no_more_and_with_all_the_rest() {
        for (code, message, kept) in [
            ("CertificateNotFound", "Certificate not found: rds-ca-2019", (false, true)),
            ("CertificateNotFoundFault", "", (false, true)),
            ("InvalidParameterCombination", "Version 17.9 doesn't support certificate rds-ca-2019.", (false, true)),
            ("InvalidParameterValue", "The backup window and maintenance window must not overlap.", (true, false)),
        ] {
            let less = without_refused(call(), code, message).unwrap();
            assert_eq!(left(&less), kept, "{code}: {message}");
            // It is not sent a third time for the same reason.
            assert!(without_refused(less, code, message).is_none(), "{code}: {message}");
        }
    }

    #[test]
    fn whatever_else_is_refused_is_left_to_the_step() {
        for (code, message) in [
            ("InsufficientDBInstanceCapacity", "rds-ca-2019 overlap"),
            ("InvalidParameterValue", "Invalid DB Instance class: db.x"),
            ("InvalidParameterCombination", "a MonitoringRoleARN value is required"),
            ("DBClusterNotFoundFault", "rds-ca-2019"),
            ("AccessDenied", "overlap rds-ca-2019"),
            ("", ""),
        ] {
            assert!(without_refused(call(), code, message).is_none(), "{code}: {message}");
        }
    }

    #[test]
    fn a_refusal_is_told_by_its_code_and_otherwise_by_what_it_names() {
        use RefusedFor::{Capacity, Class, Other, Quota, Zone};
        for (code, message, why) in [
            ("InstanceQuotaExceeded", "DB Instance quota exceeded", Quota),
            ("InstanceQuotaExceededFault", "", Quota),
            (
                "InsufficientDBInstanceCapacity",
                "Cannot create a database instance because there are no availability zones with sufficient capacity",
                Capacity,
            ),
            (
                "InvalidVPCNetworkStateFault",
                "Availability zone '[eu-west-1a]' is unavailable in this region, please choose another zone set.",
                Zone,
            ),
            ("InvalidParameterCombination", "eu-west-1a is not in the DB subnet group", Zone),
            (
                "InvalidParameterCombination",
                "RDS does not support creating a DB instance with the following combination: \
                 DBInstanceClass=db.r4.large, Engine=aurora-postgresql, EngineVersion=14.4.",
                Class,
            ),
            ("InvalidParameterValue", "Invalid DB Instance class: db.r4.large", Class),
            ("InvalidParameterCombination", "The requested instance class is not supported", Class),
            ("AccessDenied", "not authorized to create db.r4.large in eu-west-1a", Other),
            ("KMSKeyNotAccessibleFault", "", Other),
        ] {
            assert_eq!(refused_for(code, message, "db.r4.large", Some("eu-west-1a")), why, "{code}: {message}");
        }
    }
}
