//! What chat works with: its ways to AWS and to Slack, its settings, and the three kinds of events that it is called with.

use crate::people::People;
use crate::post::{Post, Web};
use crate::secret::Secret;
use rewind_aws::Aws;
use rewind_aws::chat::{AppSecrets, ChatTable, Handover, Later, Memory, SecretText};
use rewind_aws::executions::{Executions, StepFunctions};
use rewind_aws::invoke::{CallFunctions, Lambda};
use rewind_aws::recoveries::{Recoveries, Table};
use rewind_client::{Places, RecoveryClient};
use rewind_core::{Clock, ErrorName, StepError};
use rewind_lambda::SystemClock;

/// The ways to AWS and to Slack.
pub trait World: Send + Sync {
    /// Executions.
    type Executions: Executions;
    /// The table, as it is read.
    type Recoveries: Recoveries;
    /// Functions that people call.
    type Functions: CallFunctions;
    /// The table, as chat writes it.
    type Memory: Memory;
    /// Secrets.
    type Secrets: SecretText;
    /// Later work.
    type Later: Later;
    /// Messages to Slack.
    type Post: Post;
    /// The time.
    type Clock: Clock;

    /// The client.
    fn client(&self) -> &RecoveryClient<Self::Executions, Self::Recoveries, Self::Functions>;
    /// What chat remembers.
    fn memory(&self) -> &Self::Memory;
    /// Where the app's secret is read.
    fn secrets(&self) -> &Self::Secrets;
    /// Who does later work.
    fn later(&self) -> &Self::Later;
    /// Who brings messages to Slack.
    fn post(&self) -> &Self::Post;
    /// The time.
    fn clock(&self) -> &Self::Clock;
}

/// The function.
#[derive(Debug)]
pub struct Chat<W> {
    /// Its ways.
    pub world: W,
    /// Its settings.
    pub settings: Settings,
    /// The app's secret, once it was read.
    pub secret: Secret,
}

/// What the deployment says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Who may do what.
    pub people: People,
    /// The secret with the app's signing secret.
    pub secret_arn: String,
    /// This function's own name, for later work.
    pub function: String,
    /// What every URL that is answered to begins with.
    pub response_prefix: String,
}

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    ///
    /// `Bug` where a variable is missing: the template sets it.
    pub fn read(get: impl Fn(&str) -> Option<String> + Copy) -> Result<Self, StepError> {
        Ok(Self {
            people: People::read(get),
            secret_arn: required(get, "REWIND_CHAT_SECRET_ARN")?,
            function: required(get, "AWS_LAMBDA_FUNCTION_NAME")?,
            response_prefix: get("REWIND_CHAT_RESPONSE_PREFIX")
                .unwrap_or_else(|| "https://hooks.slack.com/".to_owned()),
        })
    }
}

fn required(get: impl Fn(&str) -> Option<String>, name: &str) -> Result<String, StepError> {
    get(name)
        .filter(|value| !value.is_empty())
        .ok_or_else(|| StepError::new(ErrorName::Bug, format!("the environment variable {name} is not set")))
}

/// The real ways.
#[derive(Debug)]
pub struct Real {
    client: RecoveryClient<StepFunctions, Table, Lambda>,
    memory: ChatTable,
    secrets: AppSecrets,
    later: Handover,
    post: Web<SystemClock>,
}

impl Real {
    /// From the environment.
    ///
    /// # Errors
    ///
    /// `Bug` where a variable is missing: the template sets it.
    pub fn new(aws: &Aws, get: impl Fn(&str) -> Option<String> + Copy) -> Result<Self, StepError> {
        let table = required(get, "REWIND_TABLE")?;
        let client = RecoveryClient {
            executions: StepFunctions::new(aws),
            recoveries: Table::new(aws, table.clone()),
            functions: Lambda::new(aws),
            places: Places {
                machine: required(get, "STATE_MACHINE_ARN")?,
                undo_machine: get("UNDO_STATE_MACHINE_ARN").filter(|arn| !arn.is_empty()),
                set_window: get("SET_WINDOW_FUNCTION").filter(|name| !name.is_empty()),
            },
        };
        Ok(Self {
            client,
            memory: ChatTable::new(aws, table),
            secrets: AppSecrets::new(aws),
            later: Handover::new(aws),
            post: Web::new(SystemClock),
        })
    }
}

impl World for Real {
    type Executions = StepFunctions;
    type Recoveries = Table;
    type Functions = Lambda;
    type Memory = ChatTable;
    type Secrets = AppSecrets;
    type Later = Handover;
    type Post = Web<SystemClock>;
    type Clock = SystemClock;

    fn client(&self) -> &RecoveryClient<StepFunctions, Table, Lambda> {
        &self.client
    }
    fn memory(&self) -> &ChatTable {
        &self.memory
    }
    fn secrets(&self) -> &AppSecrets {
        &self.secrets
    }
    fn later(&self) -> &Handover {
        &self.later
    }
    fn post(&self) -> &Web<SystemClock> {
        &self.post
    }
    fn clock(&self) -> &SystemClock {
        &SystemClock
    }
}
