//! Starts a recovery once, however often the start is asked for.

use crate::{ClientError, ClientResult, Deployment, RecoveryClient};
use jiff::Timestamp;
use rewind_aws::caller::SignCaller;
use rewind_aws::executions::{Executions, Started, Status};
use rewind_core::names::CLEAN_UP_HOLDER;
use rewind_core::{ErrorName, Request, STARTED_BY, request_of, start_act};
use rewind_ui::derived_id;
use serde_json::{Value, json};

/// The number of names that are tried where the client generates them.
// A generated name has the second in it: more recoveries of one cluster in one second are an error of the caller.
const NAME_ATTEMPTS: usize = 5;

/// The name that a recovery shall have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecoveryName {
    /// The name that the person gave.
    Given(String),
    /// A name generated from the request and this moment.
    Generated(Timestamp),
}

/// An execution that was started, now or before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartedExecution {
    /// The execution's name, which is the recovery's id.
    pub id: String,
    /// The execution's ARN.
    pub arn: String,
    /// True if an earlier call had started the same.
    pub started_before: bool,
}

impl<E: Executions, R, F> RecoveryClient<E, R, F> {
    /// Starts a recovery, or finds the one that was started by that name with the same request.
    ///
    /// # Errors
    ///
    /// `Refused` where the request or the name is invalid, or the name is taken; errors of AWS.
    pub async fn start(
        &self,
        name: RecoveryName,
        request: &Value,
        signer: &impl SignCaller,
    ) -> ClientResult<StartedExecution> {
        // The state machine checks it again. Here a wrong field is answered at once, without an execution.
        let asked = Request::check(request)?;
        let prefix = if asked.dry_run { "plan" } else { "rewind" };
        match name {
            RecoveryName::Given(id) => {
                check_name(&id)?;
                self.start_signed(&id, request, signer).await?.ok_or_else(|| name_taken(&id))
            }
            RecoveryName::Generated(now) => {
                // One that resumes a recovery may leave the cluster to that one.
                let about = asked.cluster.or(asked.resume).unwrap_or_default();
                for attempt in 0..NAME_ATTEMPTS {
                    let id = derived_id(prefix, &about, now, attempt);
                    if let Some(started) = self.start_signed(&id, request, signer).await? {
                        return Ok(started);
                    }
                }
                Err(name_taken(&derived_id(prefix, &about, now, 0)))
            }
        }
    }

    /// Starts a recovery with a proof of who starts it.
    async fn start_signed(
        &self,
        id: &str,
        request: &Value,
        signer: &impl SignCaller,
    ) -> ClientResult<Option<StartedExecution>> {
        let mut input = request.clone();
        if let (Some(proof), Some(fields)) = (signer.sign_caller(&start_act(id, request)).await?, input.as_object_mut())
        {
            fields.insert(STARTED_BY.to_owned(), json!(proof));
        }
        self.start_execution(&self.deployment.state_machine, id, &input).await
    }

    /// Starts an execution; none where another one has that name.
    pub(crate) async fn start_execution(
        &self,
        state_machine: &str,
        id: &str,
        input: &Value,
    ) -> ClientResult<Option<StartedExecution>> {
        let arn = Deployment::execution_arn(state_machine, id);
        let started = |started_before| StartedExecution { id: id.to_owned(), arn: arn.clone(), started_before };
        match self.executions.start(state_machine, id, input).await {
            Ok(Started::Runs(arn)) => Ok(Some(StartedExecution { arn, ..started(false) })),
            Ok(Started::NameTaken) => {
                // AWS answers a start with the same input by the running execution, the local Step Functions by this
                // error.
                let other = self.executions.execution(&arn).await?;
                Ok(other.filter(|other| asks_the_same(&other.input, input)).map(|_| started(true)))
            }
            // The response was lost: the execution itself says whether it was started.
            Err(error) if error.name == ErrorName::OutcomeUnknown => match self.executions.execution(&arn).await? {
                // This call cannot have started one that has ended already: that one is from an earlier call.
                Some(execution) => {
                    Ok(asks_the_same(&execution.input, input).then(|| started(execution.status != Status::Running)))
                }
                None => Err(error.into()),
            },
            Err(error) => Err(error.into()),
        }
    }
}

/// True for two inputs with one request: a proof is another one each time.
fn asks_the_same(one: &Value, other: &Value) -> bool {
    request_of(one) == request_of(other)
}

fn name_taken(id: &str) -> ClientError {
    ClientError::Refused(format!(
        "there is an execution {id} with another request; nothing was started; next step: choose another name"
    ))
}

/// Checks that Step Functions takes a name.
// The message of its own InvalidName error does not say which characters it takes.
fn check_name(id: &str) -> ClientResult<()> {
    let is_valid =
        (1..=80).contains(&id.len()) && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if is_valid && id.starts_with(CLEAN_UP_HOLDER) {
        return Err(ClientError::Refused(format!(
            "\"{id}\" cannot be the name of a recovery: the leases of the clean-up are known by {CLEAN_UP_HOLDER}; nothing was started; \
             next step: use a name that begins otherwise"
        )));
    }
    if is_valid {
        return Ok(());
    }
    Err(ClientError::Refused(format!(
        "\"{id}\" cannot be the name of a recovery; nothing was started; next step: use 1 to 80 letters, digits, - and _"
    )))
}
