//! Facts of a source that decide beforehand what would fail later: pending changes, quotas, certificates, taken names.

use super::Rds;
use crate::AwsResult;
use crate::classify::{Call, classify, code};
use jiff::Timestamp;

/// Settings of a cluster that a recovery cannot see past.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceFacts {
    /// The names of the settings in `PendingModifiedValues` of its instances (`orders-1: DBInstanceClass`).
    pub pending: Vec<String>,
    /// `LocalWriteForwardingStatus` or `GlobalWriteForwardingStatus`, if it is on or being changed.
    pub write_forwarding: Option<String>,
    /// `ActivityStreamStatus`, if it is not `stopped`.
    pub activity_stream: Option<String>,
    /// `DomainMemberships`, by domain.
    pub domains: Vec<String>,
}

/// A quota of the account in this Region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// `AccountQuotaName`, such as `DBClusters`.
    pub name: String,
    /// The number in use.
    pub used: i64,
    /// The number that there may be.
    pub most: i64,
}

/// A certificate authority that RDS offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// `CertificateIdentifier`, such as `rds-ca-rsa2048-g1`.
    pub name: String,
    /// `ValidTill`.
    pub valid_till: Option<Timestamp>,
}

/// Reads facts of the account and of a source.
pub trait ReadFacts: Send + Sync {
    /// Reads the facts of the cluster.
    fn source_facts(&self, cluster: &str) -> impl Future<Output = AwsResult<SourceFacts>> + Send;
    /// Reads the quotas of the account.
    fn quotas(&self) -> impl Future<Output = AwsResult<Vec<Quota>>> + Send;
    /// Reads the certificate authorities that RDS offers.
    fn authorities(&self) -> impl Future<Output = AwsResult<Vec<Authority>>> + Send;
    /// True if there is an instance of that name.
    fn is_instance_taken(&self, name: &str) -> impl Future<Output = AwsResult<bool>> + Send;
}

impl ReadFacts for Rds {
    /// IAM: `rds:DescribeDBClusters`, `rds:DescribeDBInstances`.
    async fn source_facts(&self, cluster: &str) -> AwsResult<SourceFacts> {
        let page = self
            .0
            .describe_db_clusters()
            .db_cluster_identifier(cluster)
            .send()
            .await
            .map_err(|e| classify(&e, Call::Read, &format!("rds:DescribeDBClusters of {cluster}")))?;
        let Some(found) = page.db_clusters.and_then(|clusters| clusters.into_iter().next()) else {
            return Ok(SourceFacts::default());
        };
        let filter = aws_sdk_rds::types::Filter::builder().name("db-cluster-id").values(cluster).build();
        let instances = self
            .0
            .describe_db_instances()
            .filters(filter)
            .send()
            .await
            .map_err(|e| classify(&e, Call::Read, &format!("rds:DescribeDBInstances of {cluster}")))?;
        let mut pending = Vec::new();
        for instance in instances.db_instances.unwrap_or_default() {
            let name = instance.db_instance_identifier.clone().unwrap_or_default();
            let values = instance.pending_modified_values.as_ref().map(pending_of_instance).unwrap_or_default();
            pending.extend(values.into_iter().map(|value| format!("{name}: {value}")));
        }
        let forwarding = [
            found.local_write_forwarding_status.as_ref().map(|status| status.as_str().to_owned()),
            found.global_write_forwarding_status.as_ref().map(|status| status.as_str().to_owned()),
        ];
        let stream = found.activity_stream_status.as_ref().map(|status| status.as_str().to_owned());
        Ok(SourceFacts {
            pending,
            write_forwarding: forwarding.into_iter().flatten().find(|status| !is_off(status)),
            activity_stream: stream.filter(|status| !is_off(status)),
            domains: found.domain_memberships.unwrap_or_default().into_iter().filter_map(|of| of.domain).collect(),
        })
    }

    /// IAM: `rds:DescribeAccountAttributes`.
    async fn quotas(&self) -> AwsResult<Vec<Quota>> {
        let answer = self
            .0
            .describe_account_attributes()
            .send()
            .await
            .map_err(|e| classify(&e, Call::Read, "rds:DescribeAccountAttributes"))?;
        let quotas = answer.account_quotas.unwrap_or_default().into_iter();
        Ok(quotas
            .filter_map(|quota| {
                Some(Quota { name: quota.account_quota_name?, used: quota.used.unwrap_or(0), most: quota.max? })
            })
            .collect())
    }

    /// IAM: `rds:DescribeCertificates`.
    async fn authorities(&self) -> AwsResult<Vec<Authority>> {
        let answer = self
            .0
            .describe_certificates()
            .send()
            .await
            .map_err(|e| classify(&e, Call::Read, "rds:DescribeCertificates"))?;
        let offered = answer.certificates.unwrap_or_default().into_iter();
        Ok(offered
            .filter_map(|certificate| {
                Some(Authority {
                    name: certificate.certificate_identifier?,
                    valid_till: certificate.valid_till.and_then(|at| Timestamp::from_second(at.secs()).ok()),
                })
            })
            .collect())
    }

    /// IAM: `rds:DescribeDBInstances`.
    async fn is_instance_taken(&self, name: &str) -> AwsResult<bool> {
        match self.0.describe_db_instances().db_instance_identifier(name).send().await {
            Ok(page) => Ok(!page.db_instances.unwrap_or_default().is_empty()),
            Err(e) if code(&e).is_some_and(|code| code.starts_with("DBInstanceNotFound")) => Ok(false),
            Err(e) => Err(classify(&e, Call::Read, &format!("rds:DescribeDBInstances of {name}"))),
        }
    }
}

/// True for a status that means that the feature is off.
fn is_off(status: &str) -> bool {
    ["disabled", "stopped", "unknown", ""].contains(&status)
}

fn pending_of_instance(values: &aws_sdk_rds::types::PendingModifiedValues) -> Vec<String> {
    [
        ("DBInstanceClass", values.db_instance_class.is_some()),
        ("EngineVersion", values.engine_version.is_some()),
        ("CACertificateIdentifier", values.ca_certificate_identifier.is_some()),
        ("DBInstanceIdentifier", values.db_instance_identifier.is_some()),
    ]
    .into_iter()
    .filter(|(_, is_pending)| *is_pending)
    .map(|(name, _)| name.to_owned())
    .collect()
}
