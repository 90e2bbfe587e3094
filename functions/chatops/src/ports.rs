//! The ports to AWS and to Slack, so that tests can put others in their place.

use crate::settings::required;
use crate::slack_client::{HttpsClient, SlackClient};
use rewind_aws::Aws;
use rewind_aws::chat::{AsyncLambda, ChatRecords, ChatTable, InvokeAsync, ReadActs, ReadSecretText, SecretTexts};
use rewind_aws::executions::{Executions, StepFunctions};
use rewind_aws::invoke::{CallFunctions, Lambda};
use rewind_aws::rds::{Rds, ReadClusters};
use rewind_aws::recoveries::{ReadNotes, Recoveries, RecoveryTable};
use rewind_aws::route53::{Route53, Zones};
use rewind_aws::zone_facts::ReadZones;
use rewind_client::{Deployment, RecoveryClient};
use rewind_core::{Clock, StepError};
use rewind_lambda::SystemClock;

/// The ports of the function.
pub trait Ports: Send + Sync {
    /// The port to Step Functions.
    type Executions: Executions;
    /// The port to the records of recoveries.
    type Recoveries: Recoveries + ReadNotes;
    /// The port to functions that people call.
    type Functions: CallFunctions;
    /// The port to clusters.
    type Clusters: ReadClusters;
    /// The port to the hosted zones.
    type Zones: Zones + ReadZones;
    /// The port to the records that chat itself keeps.
    type ChatRecords: ChatRecords + ReadActs;
    /// The port to Secrets Manager.
    type Secrets: ReadSecretText;
    /// The port to asynchronous invocations of this function.
    type Deferred: InvokeAsync;
    /// The port to Slack.
    type Slack: SlackClient;
    /// The clock.
    type Clock: Clock;

    /// The client of recoveries.
    fn client(&self) -> &RecoveryClient<Self::Executions, Self::Recoveries, Self::Functions>;
    /// The clusters and the hosted zones.
    fn world(&self) -> (&Self::Clusters, &Self::Zones);
    /// The records that chat itself keeps.
    fn chat_records(&self) -> &Self::ChatRecords;
    /// Secrets Manager.
    fn secrets(&self) -> &Self::Secrets;
    /// Asynchronous invocations.
    fn deferred(&self) -> &Self::Deferred;
    /// Slack.
    fn slack(&self) -> &Self::Slack;
    /// The clock.
    fn clock(&self) -> &Self::Clock;
}

/// The ports to the real AWS and the real Slack.
#[derive(Debug)]
pub struct AwsPorts {
    client: RecoveryClient<StepFunctions, RecoveryTable, Lambda>,
    clusters: Rds,
    zones: Route53,
    chat_records: ChatTable,
    secrets: SecretTexts,
    deferred: AsyncLambda,
    slack: HttpsClient<SystemClock>,
}

impl AwsPorts {
    /// Makes the ports that the environment asks for.
    ///
    /// # Errors
    ///
    /// `Bug` where a variable is missing: the template sets it.
    pub fn new(aws: &Aws, get: impl Fn(&str) -> Option<String> + Copy) -> Result<Self, StepError> {
        let table = required(get, "REWIND_TABLE")?;
        let client = RecoveryClient {
            executions: StepFunctions::new(aws),
            recoveries: RecoveryTable::new(aws, table.clone()),
            functions: Lambda::new(aws),
            deployment: Deployment {
                state_machine: required(get, "STATE_MACHINE_ARN")?,
                undo_state_machine: get("UNDO_STATE_MACHINE_ARN").filter(|arn| !arn.is_empty()),
                set_window_function: get("SET_WINDOW_FUNCTION").filter(|name| !name.is_empty()),
                compare_tables_function: None,
                // Chat has no permission to read or tag clusters.
                clean_up_state_machine: None,
                cleans_up: None,
                open_state_machine: None,
            },
        };
        Ok(Self {
            client,
            clusters: Rds::new(aws),
            zones: Route53::from_env(aws),
            chat_records: ChatTable::new(aws, table),
            secrets: SecretTexts::new(aws),
            deferred: AsyncLambda::new(aws),
            slack: HttpsClient::new(SystemClock),
        })
    }
}

impl Ports for AwsPorts {
    type Executions = StepFunctions;
    type Recoveries = RecoveryTable;
    type Functions = Lambda;
    type Clusters = Rds;
    type Zones = Route53;
    type ChatRecords = ChatTable;
    type Secrets = SecretTexts;
    type Deferred = AsyncLambda;
    type Slack = HttpsClient<SystemClock>;
    type Clock = SystemClock;

    fn client(&self) -> &RecoveryClient<StepFunctions, RecoveryTable, Lambda> {
        &self.client
    }
    fn world(&self) -> (&Rds, &Route53) {
        (&self.clusters, &self.zones)
    }
    fn chat_records(&self) -> &ChatTable {
        &self.chat_records
    }
    fn secrets(&self) -> &SecretTexts {
        &self.secrets
    }
    fn deferred(&self) -> &AsyncLambda {
        &self.deferred
    }
    fn slack(&self) -> &HttpsClient<SystemClock> {
        &self.slack
    }
    fn clock(&self) -> &SystemClock {
        &SystemClock
    }
}
