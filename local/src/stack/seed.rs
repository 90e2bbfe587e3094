//! The resources of a fresh stack: one cluster, rich in what a restore does not inherit, a record that names its writer, and a Slack app.
//!
//! They are created by the calls that a person would make, and in no other way.

use super::clients::{Keys, REGION, sdk_config};
use super::network::Network;
use anyhow::{Context, Result, anyhow, bail};
use aws_sdk_rds::types::Tag;
use aws_sdk_route53::types::{
    Change, ChangeAction, ChangeBatch, HostedZoneConfig, ResourceRecord, ResourceRecordSet, RrType, Vpc, VpcRegion,
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The identifier of the cluster.
pub const CLUSTER: &str = "my-aurora-cluster";
/// The hosted zone.
pub const ZONE: &str = "example.com";
/// The name that clients use for the writer.
pub const DB_RECORD: &str = "db.example.com";
/// The master user's database, which every PostgreSQL server has.
pub const DATABASE: &str = "postgres";
/// The cluster's own security group: it admits every client on this machine.
pub const APP_SECURITY_GROUP: &str = "sg-0a99000000000a990";
/// The security group of a fenced cluster: it admits the functions' address and no other.
pub const FENCE_SECURITY_GROUP: &str = "sg-0fe9ce0000000fe9c";

const ENGINE: &str = "aurora-postgresql";
const CLUSTER_PARAMETERS: &str = "my-aurora-cluster-params";
const INSTANCE_PARAMETERS: &str = "my-aurora-instance-params";
const RECORD_TTL: i64 = 5;
const CHAT_SECRET: &str = "aurora-rewind/chat";
/// Longest time until the cluster is available: an empty one takes seconds, on a machine that compiles meanwhile more.
const AVAILABLE_TIMEOUT: Duration = Duration::from_secs(300);
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The resources as a client uses them.
#[derive(Debug, Clone)]
pub struct Seed {
    /// The hosted zone.
    pub hosted_zone_id: String,
    /// The master user.
    pub user: String,
    /// The master user's password.
    pub password: String,
}

/// Builds the rules of the security groups, by group: a file for the control plane, as the stack has no EC2.
pub fn security_groups(network: Network) -> Value {
    // 127.0.0.0/8 is every client that there can be: nothing of a stack listens on an address that another machine reaches.
    json!({
        APP_SECURITY_GROUP: ["127.0.0.0/8"],
        FENCE_SECURITY_GROUP: [format!("{}/32", network.functions())],
    })
}

/// Creates the cluster and waits until its instances are available; returns the writer endpoint and the ARN of the managed secret.
///
/// # Errors
///
/// When the RDS API refuses, or the cluster does not become available.
pub async fn cluster(network: Network, keys: &Keys) -> Result<(String, String)> {
    let rds = aws_sdk_rds::Client::new(&sdk_config(&format!("http://{}", network.rds()), keys));
    let version = default_version(&rds).await?;
    // By major version: a parameter group of another family is refused.
    let family = format!("{ENGINE}{}", version.split('.').next().unwrap_or(&version));
    rds.create_db_cluster_parameter_group()
        .db_cluster_parameter_group_name(CLUSTER_PARAMETERS)
        .db_parameter_group_family(&family)
        .description("of my-aurora-cluster")
        .send()
        .await
        .context("the cluster parameter group could not be created")?;
    rds.create_db_parameter_group()
        .db_parameter_group_name(INSTANCE_PARAMETERS)
        .db_parameter_group_family(&family)
        .description("of my-aurora-cluster's instances")
        .send()
        .await
        .context("the instances' parameter group could not be created")?;
    rds.create_db_cluster()
        .db_cluster_identifier(CLUSTER)
        .engine(ENGINE)
        .engine_version(version)
        // From here on everything that a restore does not inherit unless it is passed or set afterwards: what the product forgets
        // to carry over shows as a difference between the two clusters.
        .master_username("postgres")
        .manage_master_user_password(true)
        .db_cluster_parameter_group_name(CLUSTER_PARAMETERS)
        .vpc_security_group_ids(APP_SECURITY_GROUP)
        .backup_retention_period(7)
        .preferred_backup_window("03:00-03:30")
        .preferred_maintenance_window("sun:04:00-sun:04:30")
        .enable_cloudwatch_logs_exports("postgresql")
        .enable_iam_database_authentication(true)
        .deletion_protection(true)
        .copy_tags_to_snapshot(true)
        .tags(tag("application", "orders"))
        .tags(tag("owner", "team-orders"))
        .send()
        .await
        .context("the cluster could not be created")?;
    for (name, class, tier) in [("my-aurora-cluster-1", "db.r6g.xlarge", 0), ("my-aurora-cluster-2", "db.r6g.large", 5)]
    {
        rds.create_db_instance()
            .db_instance_identifier(name)
            .db_cluster_identifier(CLUSTER)
            .db_instance_class(class)
            .engine(ENGINE)
            // Different from each other and from the defaults: a recovery has to copy class and tier of each instance.
            .promotion_tier(tier)
            .db_parameter_group_name(INSTANCE_PARAMETERS)
            .auto_minor_version_upgrade(false)
            .tags(tag("application", "orders"))
            .send()
            .await
            .context("an instance could not be created")?;
    }
    available(&rds).await
}

/// Creates the secret of the Slack app, as the chat function reads it, or reads the one that is there.
///
/// # Errors
///
/// When Secrets Manager refuses, or the secret is not complete.
pub async fn chat_app(network: Network, keys: &Keys) -> Result<ChatApp> {
    let secrets = aws_sdk_secretsmanager::Client::new(&sdk_config(&format!("http://{}", network.gateway()), keys));
    let what = "the secret of the Slack app could not be created";
    // A new deployment to a running stack keeps the app: the function and people's shells hold its signing secret.
    if let Ok(known) = secrets.get_secret_value().secret_id(CHAT_SECRET).send().await {
        let app: Value = serde_json::from_str(known.secret_string().unwrap_or_default()).context(what)?;
        let signing_secret = app.get("signingSecret").and_then(Value::as_str).map(str::to_owned);
        return Ok(ChatApp {
            secret_arn: known.arn.ok_or_else(|| anyhow!("it has no ARN")).context(what)?,
            signing_secret: signing_secret.ok_or_else(|| anyhow!("it has no signing secret")).context(what)?,
        });
    }
    let signing_secret = uuid::Uuid::new_v4().simple().to_string();
    let app = json!({ "signingSecret": signing_secret, "webhookUrl": format!("http://{}/channel", network.chat()) });
    let made = secrets.create_secret().name(CHAT_SECRET).secret_string(app.to_string()).send().await;
    let secret_arn = made.context(what)?.arn.ok_or_else(|| anyhow!("it has no ARN")).context(what)?;
    Ok(ChatApp { secret_arn, signing_secret })
}

/// The Slack app of the stack.
#[derive(Debug, Clone)]
pub struct ChatApp {
    /// The ARN of the secret that the chat function reads.
    pub secret_arn: String,
    /// The secret that requests are signed with.
    pub signing_secret: String,
}

/// Requesters and approvers in chat, as parameters of the template: Ann requests, Ben approves, and Cleo does both.
pub const CHAT_PEOPLE: [(&str, &str); 3] =
    [("ChatRequesters", "UANN,UCLEO"), ("ChatApprovers", "UBEN,UCLEO"), ("ChatTeam", "TLOCAL")];

fn tag(key: &str, value: &str) -> Tag {
    Tag::builder().key(key).value(value).build()
}

/// Reads the version that the control plane runs: that of PostgreSQL on this machine.
async fn default_version(rds: &aws_sdk_rds::Client) -> Result<String> {
    let versions = rds
        .describe_db_engine_versions()
        .engine(ENGINE)
        .default_only(true)
        .send()
        .await
        .context("the engine versions could not be read")?;
    let version = versions.db_engine_versions().first().and_then(|version| version.engine_version());
    version.map(str::to_owned).context("the control plane offers no engine version")
}

async fn available(rds: &aws_sdk_rds::Client) -> Result<(String, String)> {
    let what = "the cluster did not become available";
    let deadline = Instant::now() + AVAILABLE_TIMEOUT;
    loop {
        let clusters = rds.describe_db_clusters().db_cluster_identifier(CLUSTER).send().await.context(what)?;
        let cluster = clusters.db_clusters().first().ok_or_else(|| anyhow!("it is gone")).context(what)?;
        let instances = rds.describe_db_instances().send().await.context(what)?;
        let states = instances.db_instances().iter().map(|instance| instance.db_instance_status());
        let states: Vec<Option<&str>> = states.chain([cluster.status()]).collect();
        if states.iter().all(|state| *state == Some("available")) {
            let endpoint = cluster.endpoint().ok_or_else(|| anyhow!("it has no endpoint")).context(what)?;
            let secret = cluster.master_user_secret().and_then(|secret| secret.secret_arn());
            let secret = secret.ok_or_else(|| anyhow!("it has no managed master secret")).context(what)?;
            return Ok((endpoint.to_owned(), secret.to_owned()));
        }
        // `failed` is final: waiting on would only hide the log behind a timeout.
        if states.contains(&Some("failed")) || Instant::now() > deadline {
            bail!("{what}: its states are {states:?}");
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// Creates the hosted zone and the record, and reads the master password.
///
/// # Errors
///
/// When Route 53 or Secrets Manager refuses.
pub async fn record_and_login(network: Network, keys: &Keys, endpoint: &str, secret: &str) -> Result<Seed> {
    let sdk = sdk_config(&format!("http://{}", network.gateway()), keys);
    let hosted_zone_id = hosted_zone(&aws_sdk_route53::Client::new(&sdk), endpoint).await?;
    let what = "the master password could not be read";
    let value =
        aws_sdk_secretsmanager::Client::new(&sdk).get_secret_value().secret_id(secret).send().await.context(what)?;
    let login: Value = serde_json::from_str(value.secret_string().unwrap_or_default()).context(what)?;
    let field = |name: &'static str| {
        let text = login.get(name).and_then(Value::as_str).map(str::to_owned);
        text.ok_or_else(|| anyhow!("the secret has no {name}")).context(what)
    };
    Ok(Seed { hosted_zone_id, user: field("username")?, password: field("password")? })
}

async fn hosted_zone(route53: &aws_sdk_route53::Client, endpoint: &str) -> Result<String> {
    let what = "the hosted zone could not be created";
    let built = "the request could not be built";
    let zone = route53
        .create_hosted_zone()
        .name(ZONE)
        .caller_reference("local-stack")
        // Private, as the home of such records usually is; AWS refuses a private zone without a VPC.
        .vpc(Vpc::builder().vpc_region(VpcRegion::from(REGION)).vpc_id("vpc-0a99000000000a990").build())
        .hosted_zone_config(HostedZoneConfig::builder().private_zone(true).comment("of the local stack").build())
        .send()
        .await
        .context(what)?;
    let id = zone.hosted_zone().map(|zone| zone.id().trim_start_matches("/hostedzone/").to_owned());
    let id = id.ok_or_else(|| anyhow!("it has no id")).context(what)?;
    let record = ResourceRecordSet::builder()
        .name(DB_RECORD)
        .r#type(RrType::Cname)
        .ttl(RECORD_TTL)
        .resource_records(ResourceRecord::builder().value(endpoint).build().context(built)?)
        .build()
        .context(built)?;
    let change = Change::builder().action(ChangeAction::Create).resource_record_set(record).build();
    let change = change.context(built)?;
    route53
        .change_resource_record_sets()
        .hosted_zone_id(&id)
        .change_batch(ChangeBatch::builder().changes(change).build().context(built)?)
        .send()
        .await
        .context("the record could not be created")?;
    Ok(id)
}
