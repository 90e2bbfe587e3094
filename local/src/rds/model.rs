//! What the control plane knows of clusters and instances: plain values, and the names that derive from them.

use super::database::Database;
use super::engine::Engine;
use super::error::ApiError;
use super::query::Params;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::sync::OnceLock;

/// The account of the stack.
pub const ACCOUNT: &str = "000000000000";

static REGION: OnceLock<String> = OnceLock::new();

/// The Region of the stack, which is part of every ARN and endpoint.
pub fn region() -> &'static str {
    REGION.get().map_or("us-east-1", String::as_str)
}

/// Settles the Region, once a process.
pub fn set_region(region: String) {
    if REGION.set(region).is_err() {
        tracing::warn!("the Region of a running stack can't be changed");
    }
}

/// What a cluster is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClusterStatus {
    Creating,
    Available,
    Modifying,
    FailingOver,
    Backtracking,
    Deleting,
    Failed,
}

impl fmt::Display for ClusterStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Creating => "creating",
            Self::Available => "available",
            Self::Modifying => "modifying",
            Self::FailingOver => "failing-over",
            Self::Backtracking => "backtracking",
            Self::Deleting => "deleting",
            Self::Failed => "failed",
        })
    }
}

/// What an instance is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceStatus {
    Creating,
    ConfiguringMonitoring,
    Available,
    Modifying,
    Rebooting,
    Backtracking,
    Deleting,
    Failed,
}

impl fmt::Display for InstanceStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Creating => "creating",
            Self::ConfiguringMonitoring => "configuring-enhanced-monitoring",
            Self::Available => "available",
            Self::Modifying => "modifying",
            Self::Rebooting => "rebooting",
            Self::Backtracking => "backtracking",
            Self::Deleting => "deleting",
            Self::Failed => "failed",
        })
    }
}

/// Tags of one resource, in the order of their keys.
pub type Tags = BTreeMap<String, String>;

/// Reads `Tags`; `None` when none are given.
pub fn tags(params: &Params) -> Result<Option<Tags>, ApiError> {
    let given = params.structures("Tags", "Tag");
    if given.is_empty() {
        return Ok(None);
    }
    let mut tags = Tags::new();
    for tag in given {
        let (key, value) = (tag.required("Key")?.to_owned(), tag.text("Value").unwrap_or_default());
        check_tag("key", &key, 128)?;
        check_tag("value", &value, 256)?;
        if tags.contains_key(&key) {
            return Err(ApiError::value(format!("The tag key {key} is given twice")));
        }
        tags.insert(key, value);
    }
    check_tags(&tags)?;
    Ok(Some(tags))
}

/// RDS takes so many tags a resource.
const MOST_TAGS: usize = 50;

/// Refuses more tags than a resource may have.
pub fn check_tags(tags: &Tags) -> Result<(), ApiError> {
    match tags.len() > MOST_TAGS {
        true => Err(ApiError::value(format!("A resource can't have more than {MOST_TAGS} tags"))),
        false => Ok(()),
    }
}

/// Holds a key or a value to what the API reference says of `Tag`.
fn check_tag(what: &str, text: &str, longest: usize) -> Result<(), ApiError> {
    let lower = text.to_lowercase();
    if let Some(prefix) = ["aws:", "rds:"].into_iter().find(|prefix| lower.starts_with(prefix)) {
        return Err(ApiError::value(format!("The tag {what} {text} starts with {prefix}, which is reserved")));
    }
    if text.chars().count() > longest {
        return Err(ApiError::value(format!("The tag {what} {text} is longer than {longest} characters")));
    }
    let space = |c: char| c.is_whitespace() && !c.is_control();
    if text.chars().any(|c| !c.is_alphanumeric() && !space(c) && !"_.:/=+-@".contains(c)) {
        return Err(ApiError::value(format!(
            "Tag {what}s may only contain unicode letters, digits, whitespace, or one of these symbols: _ . : / = + - @"
        )));
    }
    Ok(())
}

/// Performance Insights.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Insights {
    pub enabled: bool,
    pub kms_key: Option<String>,
    pub retention: Option<u32>,
}

/// Enhanced monitoring.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Monitoring {
    pub interval: u32,
    pub role: Option<String>,
}

/// Serverless v2.
#[derive(Debug, Clone, PartialEq)]
pub struct Serverless {
    pub least: f64,
    pub most: f64,
    pub pause: Option<u32>,
}

/// An IAM role of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    pub arn: String,
    pub feature: Option<String>,
}

/// A managed master password.
#[derive(Debug, Clone)]
pub struct MasterSecret {
    pub arn: String,
    pub status: &'static str,
    pub kms_key: String,
}

/// A cluster.
#[derive(Debug, Clone)]
pub struct DbCluster {
    pub id: String,
    pub resource_id: String,
    pub engine: Engine,
    pub version: String,
    pub status: ClusterStatus,
    pub created: Timestamp,
    pub settings: super::settings::Settings,
    pub port: u16,
    pub master_user: String,
    pub database_name: Option<String>,
    pub subnet_group: String,
    pub zones: Vec<String>,
    pub engine_mode: String,
    pub encrypted: bool,
    pub kms_key: Option<String>,
    pub clone_group: String,
    pub roles: Vec<Role>,
    pub tags: Tags,
    pub secret: Option<MasterSecret>,
    /// Whether the present security groups are in force.
    pub groups_active: bool,
    /// The instances, in the order in which they were made.
    pub members: Vec<String>,
    pub writer: Option<String>,
    /// Its backtracks, in the order in which they were asked for.
    pub backtracks: Vec<Backtrack>,
    pub database: Database,
}

impl DbCluster {
    pub fn arn(&self) -> String {
        cluster_arn(&self.id)
    }

    /// The earliest moment that it can be rewound to in place: what its databases still know of its own life, and no
    /// more than the window.
    pub fn earliest_backtrack(&self, now: Timestamp) -> Option<Timestamp> {
        let window = self.settings.backtrack_window.filter(|window| *window > 0)?;
        let earliest = now.checked_sub(SignedDuration::from_secs(window.into())).ok()?;
        Some(self.database.earliest_backtrack()?.max(earliest).max(self.created))
    }
}

/// How far a backtrack is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BacktrackStatus {
    Pending,
    Applying,
    Completed,
    Failed,
}

impl fmt::Display for BacktrackStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The reference says lower case; what AWS answers is this.
        f.write_str(match self {
            Self::Pending => "PENDING",
            Self::Applying => "APPLYING",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
        })
    }
}

/// A rewind in place.
#[derive(Debug, Clone)]
pub struct Backtrack {
    pub id: String,
    /// What was asked for, and where it landed once it is completed.
    pub to: Timestamp,
    pub from: Timestamp,
    pub requested: Timestamp,
    pub status: BacktrackStatus,
}

/// An instance.
#[derive(Debug, Clone)]
pub struct DbInstance {
    pub id: String,
    pub resource_id: String,
    pub cluster: String,
    pub class: String,
    /// The class it gets in its next maintenance window, as nobody asked for it at once.
    pub next_class: Option<String>,
    pub status: InstanceStatus,
    pub created: Timestamp,
    pub address: Ipv4Addr,
    pub tier: u32,
    pub parameter_group: String,
    /// Whether it runs with the cluster's present parameter group; a reboot makes it so.
    pub in_sync: bool,
    /// Whether it writes a binary log, by the cluster's parameter group as it was when it last started.
    pub binlog: bool,
    pub zone: String,
    pub maintenance_window: String,
    pub minor_upgrade: bool,
    pub public: bool,
    pub copy_tags: bool,
    pub certificate: String,
    pub monitoring: Monitoring,
    pub insights: Insights,
    pub tags: Tags,
}

impl DbInstance {
    pub fn arn(&self) -> String {
        arn("db", &self.id)
    }
}

/// A custom endpoint.
#[derive(Debug, Clone)]
pub struct CustomEndpoint {
    pub id: String,
    pub resource_id: String,
    pub cluster: String,
    pub kind: String,
    pub members: Vec<String>,
    pub excluded: Vec<String>,
    pub tags: Tags,
}

/// A parameter group, of a cluster or of instances.
#[derive(Debug, Clone)]
pub struct ParameterGroup {
    pub engine: Engine,
    pub family: String,
    pub description: String,
    pub tags: Tags,
    /// What was set by a person.
    pub values: BTreeMap<String, String>,
}

/// A subnet group.
#[derive(Debug, Clone)]
pub struct SubnetGroup {
    pub description: String,
    pub subnets: Vec<String>,
    pub tags: Tags,
}

/// A final snapshot.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub id: String,
    pub taken: Timestamp,
    pub cluster: DbCluster,
}

/// Something that happened.
#[derive(Debug, Clone)]
pub struct Event {
    pub at: Timestamp,
    pub source_type: &'static str,
    pub source: String,
    pub arn: String,
    pub category: &'static str,
    pub message: String,
}

/// The ARN of a resource of the stack.
pub fn arn(kind: &str, id: &str) -> String {
    format!("arn:aws:rds:{}:{ACCOUNT}:{kind}:{id}", region())
}

/// The ARN of a cluster.
pub fn cluster_arn(id: &str) -> String {
    arn("cluster", id)
}

/// The identifier in an identifier or an ARN of `kind`, in lower case.
pub fn id_of(kind: &str, given: &str) -> String {
    let prefix = arn(kind, "");
    given.strip_prefix(&prefix).unwrap_or(given).to_ascii_lowercase()
}

/// The endpoint of a cluster; `kind` is `cluster`, `cluster-ro` or `cluster-custom`.
pub fn endpoint(id: &str, kind: &str, hash: &str) -> String {
    format!("{id}.{kind}-{hash}.{}.rds.amazonaws.com", region())
}

/// The endpoint of an instance.
pub fn instance_endpoint(id: &str, hash: &str) -> String {
    format!("{id}.{hash}.{}.rds.amazonaws.com", region())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(tags: &[(&str, &str)]) -> Result<Option<Tags>, ApiError> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        for (n, (key, value)) in (1..).zip(tags) {
            form.append_pair(&format!("Tags.Tag.{n}.Key"), key).append_pair(&format!("Tags.Tag.{n}.Value"), value);
        }
        super::tags(&Params::parse(form.finish().as_bytes()))
    }

    #[test]
    fn fifty_tags_are_taken_and_one_more_is_not() {
        let keys: Vec<String> = (0..51).map(|n| format!("k{n}")).collect();
        let tags: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), "")).collect();
        assert_eq!(read(&tags[..50]).unwrap().unwrap().len(), 50);
        assert_eq!(read(&tags).unwrap_err().code, "InvalidParameterValue");
    }

    #[test]
    fn tags_are_of_the_characters_and_lengths_that_rds_takes() {
        let (key, value) = ("k".repeat(128), "v".repeat(256));
        for good in [("team", "Bär 1_.:/=+-@"), ("aurora-rewind:recovery", ""), (&key, &value), ("ключ", "値")] {
            assert!(read(&[good]).is_ok(), "{good:?}");
        }
        for wrong in [
            ("a,b", ""),
            ("a", "x(y)"),
            ("a", "back\\slash"),
            ("a", "new\nline"),
            ("AWS:x", ""),
            ("rds:x", ""),
            ("a", "aws:x"),
            (&"k".repeat(129), ""),
            ("a", &"v".repeat(257)),
        ] {
            assert_eq!(read(&[wrong]).unwrap_err().code, "InvalidParameterValue", "{wrong:?}");
        }
        assert_eq!(read(&[("a", "1"), ("a", "2")]).unwrap_err().code, "InvalidParameterValue");
    }
}
