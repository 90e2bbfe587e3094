//! What a fresh stack holds: one cluster, rich in what a restore does not inherit, and a record that names its writer.
//!
//! It is made by the same calls that a person would make, and by no other way.

use super::clients::{REGION, causes, sdk_config};
use super::network::Network;
use aws_sdk_rds::types::Tag;
use aws_sdk_route53::types::{
    Change, ChangeAction, ChangeBatch, HostedZoneConfig, ResourceRecord, ResourceRecordSet, RrType, Vpc, VpcRegion,
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The name of the cluster.
pub const CLUSTER: &str = "my-aurora-cluster";
/// The name that clients use for its writer.
pub const DB_RECORD: &str = "db.example.com";
/// The master user's database, which every PostgreSQL server has.
pub const DATABASE: &str = "postgres";
/// Admits everybody on this machine: the cluster's own.
pub const APP_SECURITY_GROUP: &str = "sg-0a99000000000a990";
/// Admits the functions' address and nobody else: what a fenced cluster gets.
pub const FENCE_SECURITY_GROUP: &str = "sg-0fe9ce0000000fe9c";

const ENGINE: &str = "aurora-postgresql";
const CLUSTER_PARAMETERS: &str = "my-aurora-cluster-params";
const INSTANCE_PARAMETERS: &str = "my-aurora-instance-params";
const RECORD_TTL: i64 = 5;
const CHAT_SECRET: &str = "aurora-rewind/chat";
/// A cluster of nothing is there in seconds; a machine that compiles meanwhile takes longer.
const PATIENCE: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(100);

/// The seed as a client sees it.
#[derive(Debug, Clone)]
pub struct Seed {
    /// The hosted zone.
    pub hosted_zone_id: String,
    /// The master user.
    pub user: String,
    /// Its password.
    pub password: String,
}

/// A call failed.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {cause}")]
pub struct SeedError {
    what: &'static str,
    cause: String,
}

fn failed<E: std::error::Error + 'static>(what: &'static str) -> impl FnOnce(E) -> SeedError {
    move |error| SeedError { what, cause: causes(&error) }
}

fn missing(what: &'static str, cause: &str) -> SeedError {
    SeedError { what, cause: cause.to_owned() }
}

/// Which addresses each security group admits, for the control plane, which has no EC2 to ask.
pub fn security_groups(network: Network) -> Value {
    json!({
        APP_SECURITY_GROUP: ["127.0.0.0/8"],
        FENCE_SECURITY_GROUP: [format!("{}/32", network.functions())],
    })
}

/// Makes the cluster and waits until its instances are available; answers its writer endpoint and its secret's ARN.
///
/// # Errors
///
/// What the RDS API answers.
pub async fn cluster(network: Network) -> Result<(String, String), SeedError> {
    let rds = aws_sdk_rds::Client::new(&sdk_config(&format!("http://{}", network.rds())));
    let version = default_version(&rds).await?;
    let family = format!("{ENGINE}{}", version.split('.').next().unwrap_or(&version));
    rds.create_db_cluster_parameter_group()
        .db_cluster_parameter_group_name(CLUSTER_PARAMETERS)
        .db_parameter_group_family(&family)
        .description("of my-aurora-cluster")
        .send()
        .await
        .map_err(failed("the cluster parameter group could not be made"))?;
    rds.create_db_parameter_group()
        .db_parameter_group_name(INSTANCE_PARAMETERS)
        .db_parameter_group_family(&family)
        .description("of my-aurora-cluster's instances")
        .send()
        .await
        .map_err(failed("the instances' parameter group could not be made"))?;
    rds.create_db_cluster()
        .db_cluster_identifier(CLUSTER)
        .engine(ENGINE)
        .engine_version(version)
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
        .map_err(failed("the cluster could not be made"))?;
    for (name, class, tier) in [("my-aurora-cluster-1", "db.r6g.xlarge", 0), ("my-aurora-cluster-2", "db.r6g.large", 5)]
    {
        rds.create_db_instance()
            .db_instance_identifier(name)
            .db_cluster_identifier(CLUSTER)
            .db_instance_class(class)
            .engine(ENGINE)
            .promotion_tier(tier)
            .db_parameter_group_name(INSTANCE_PARAMETERS)
            .auto_minor_version_upgrade(false)
            .tags(tag("application", "orders"))
            .send()
            .await
            .map_err(failed("an instance could not be made"))?;
    }
    available(&rds).await
}

/// The Slack app of the stack, as the function reads it: made once a stack; answers the secret's ARN and its signing secret.
///
/// # Errors
///
/// What Secrets Manager answers.
pub async fn chat_app(network: Network) -> Result<ChatApp, SeedError> {
    let secrets = aws_sdk_secretsmanager::Client::new(&sdk_config(&format!("http://{}", network.gateway())));
    let what = "the secret of the Slack app could not be made";
    // The stack may have been deployed to before.
    if let Ok(known) = secrets.get_secret_value().secret_id(CHAT_SECRET).send().await {
        let app: Value = serde_json::from_str(known.secret_string().unwrap_or_default()).map_err(failed(what))?;
        let signing_secret = app.get("signingSecret").and_then(Value::as_str).map(str::to_owned);
        return Ok(ChatApp {
            secret_arn: known.arn.ok_or_else(|| missing(what, "it has no ARN"))?,
            signing_secret: signing_secret.ok_or_else(|| missing(what, "it has no signing secret"))?,
        });
    }
    let signing_secret = uuid::Uuid::new_v4().simple().to_string();
    let app = json!({ "signingSecret": signing_secret, "webhookUrl": format!("http://{}/channel", network.chat()) });
    let made = secrets.create_secret().name(CHAT_SECRET).secret_string(app.to_string()).send().await;
    let secret_arn = made.map_err(failed(what))?.arn.ok_or_else(|| missing(what, "it has no ARN"))?;
    Ok(ChatApp { secret_arn, signing_secret })
}

/// The Slack app of the stack.
#[derive(Debug, Clone)]
pub struct ChatApp {
    /// Where the function reads it.
    pub secret_arn: String,
    /// What requests are signed with.
    pub signing_secret: String,
}

/// Who may do what in chat, as parameters of the template. Ann starts, Ben approves, and Cleo does both.
pub const CHAT_PEOPLE: [(&str, &str); 3] =
    [("ChatStarters", "UANN,UCLEO"), ("ChatApprovers", "UBEN,UCLEO"), ("ChatTeam", "TLOCAL")];

fn tag(key: &str, value: &str) -> Tag {
    Tag::builder().key(key).value(value).build()
}

/// The version that the control plane runs: the one that PostgreSQL on this machine has.
async fn default_version(rds: &aws_sdk_rds::Client) -> Result<String, SeedError> {
    let versions = rds
        .describe_db_engine_versions()
        .engine(ENGINE)
        .default_only(true)
        .send()
        .await
        .map_err(failed("the engine versions could not be read"))?;
    let version = versions.db_engine_versions().first().and_then(|version| version.engine_version());
    version.map(str::to_owned).ok_or_else(|| missing("the engine versions could not be read", "there is none"))
}

async fn available(rds: &aws_sdk_rds::Client) -> Result<(String, String), SeedError> {
    let what = "the cluster did not become available";
    let deadline = Instant::now() + PATIENCE;
    loop {
        let clusters = rds.describe_db_clusters().db_cluster_identifier(CLUSTER).send().await.map_err(failed(what))?;
        let cluster = clusters.db_clusters().first().ok_or_else(|| missing(what, "it is gone"))?;
        let instances = rds.describe_db_instances().send().await.map_err(failed(what))?;
        let states = instances.db_instances().iter().map(|instance| instance.db_instance_status());
        let states: Vec<Option<&str>> = states.chain([cluster.status()]).collect();
        if states.iter().all(|state| *state == Some("available")) {
            let endpoint = cluster.endpoint().ok_or_else(|| missing(what, "it has no endpoint"))?;
            let secret = cluster.master_user_secret().and_then(|secret| secret.secret_arn());
            let secret = secret.ok_or_else(|| missing(what, "it has no managed master secret"))?;
            return Ok((endpoint.to_owned(), secret.to_owned()));
        }
        if states.contains(&Some("failed")) || Instant::now() > deadline {
            return Err(missing(what, &format!("its states are {states:?}")));
        }
        sleep(POLL).await;
    }
}

/// Makes the hosted zone and the record, and reads the master password.
///
/// # Errors
///
/// What Route 53 and Secrets Manager answer.
pub async fn record_and_login(network: Network, endpoint: &str, secret: &str) -> Result<Seed, SeedError> {
    let sdk = sdk_config(&format!("http://{}", network.gateway()));
    let hosted_zone_id = hosted_zone(&aws_sdk_route53::Client::new(&sdk), endpoint).await?;
    let what = "the master password could not be read";
    let value = aws_sdk_secretsmanager::Client::new(&sdk)
        .get_secret_value()
        .secret_id(secret)
        .send()
        .await
        .map_err(failed(what))?;
    let login: Value = serde_json::from_str(value.secret_string().unwrap_or_default()).map_err(failed(what))?;
    let field = |name: &'static str| {
        let text = login.get(name).and_then(Value::as_str).map(str::to_owned);
        text.ok_or_else(|| missing(what, name))
    };
    Ok(Seed { hosted_zone_id, user: field("username")?, password: field("password")? })
}

async fn hosted_zone(route53: &aws_sdk_route53::Client, endpoint: &str) -> Result<String, SeedError> {
    let what = "the hosted zone could not be made";
    let built = "the request could not be built";
    let zone = route53
        .create_hosted_zone()
        .name("example.com")
        .caller_reference("local-stack")
        .vpc(Vpc::builder().vpc_region(VpcRegion::from(REGION)).vpc_id("vpc-0a99000000000a990").build())
        .hosted_zone_config(HostedZoneConfig::builder().private_zone(true).comment("of the local stack").build())
        .send()
        .await
        .map_err(failed(what))?;
    let id = zone.hosted_zone().map(|zone| zone.id().trim_start_matches("/hostedzone/").to_owned());
    let id = id.ok_or_else(|| missing(what, "it has no id"))?;
    let record = ResourceRecordSet::builder()
        .name(DB_RECORD)
        .r#type(RrType::Cname)
        .ttl(RECORD_TTL)
        .resource_records(ResourceRecord::builder().value(endpoint).build().map_err(failed(built))?)
        .build()
        .map_err(failed(built))?;
    let change = Change::builder().action(ChangeAction::Create).resource_record_set(record).build();
    let change = change.map_err(failed(built))?;
    route53
        .change_resource_record_sets()
        .hosted_zone_id(&id)
        .change_batch(ChangeBatch::builder().changes(change).build().map_err(failed(built))?)
        .send()
        .await
        .map_err(failed("the record could not be made"))?;
    Ok(id)
}
