//! Starts a recovery, once, however often it is asked for.

use crate::{Answer, ClientError, Places, RecoveryClient};
use jiff::Timestamp;
use rewind_aws::executions::{Executions, Started, Status};
use rewind_core::{ErrorName, Request};
use rewind_ui::derived_id;
use serde_json::Value;

/// How many names are tried where they are ours to choose.
const NAMES: usize = 5;

/// What the recovery shall be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// This.
    Given(String),
    /// A name made from the request and this moment.
    Made(Timestamp),
}

/// A recovery that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// Its name.
    pub id: String,
    /// Its execution.
    pub arn: String,
    /// Whether the same had been started before.
    pub before: bool,
}

impl<E: Executions, R, F> RecoveryClient<E, R, F> {
    /// Starts a recovery, or finds the one that was started by that name with the same request.
    ///
    /// # Errors
    ///
    /// Refused, where the request or the name cannot be; what AWS answers.
    pub async fn start(&self, name: Name, request: &Value) -> Answer<Begun> {
        let read = Request::parse(request)?;
        let does = if read.dry_run { "plan" } else { "rewind" };
        match name {
            Name::Given(id) => {
                check_name(&id)?;
                self.begin(&self.places.machine, &id, request).await?.ok_or_else(|| taken(&id))
            }
            Name::Made(now) => {
                for again in 0..NAMES {
                    let id = derived_id(does, &read.cluster, now, again);
                    if let Some(begun) = self.begin(&self.places.machine, &id, request).await? {
                        return Ok(begun);
                    }
                }
                Err(taken(&derived_id(does, &read.cluster, now, 0)))
            }
        }
    }

    /// Starts an execution; none where another one has that name.
    pub(crate) async fn begin(&self, machine: &str, id: &str, input: &Value) -> Answer<Option<Begun>> {
        let arn = Places::execution(machine, id);
        let begun = |before| Begun { id: id.to_owned(), arn: arn.clone(), before };
        match self.executions.start(machine, id, input).await {
            Ok(Started::Runs(arn)) => Ok(Some(Begun { arn, ..begun(false) })),
            Ok(Started::NameTaken) => {
                let other = self.executions.execution(&arn).await?;
                Ok(other.filter(|other| other.input == *input).map(|_| begun(true)))
            }
            // The answer was lost: whether it runs, it says itself.
            Err(error) if error.name == ErrorName::OutcomeUnknown => match self.executions.execution(&arn).await? {
                // One that is over may well be an older one.
                Some(execution) => Ok((execution.input == *input).then(|| begun(execution.status != Status::Running))),
                None => Err(error.into()),
            },
            Err(error) => Err(error.into()),
        }
    }
}

fn taken(id: &str) -> ClientError {
    ClientError::Refused(format!(
        "there is an execution {id} with another request; nothing was started; next step: choose another name"
    ))
}

/// What Step Functions takes for a name; its own message does not say.
fn check_name(id: &str) -> Answer<()> {
    let fits = (1..=80).contains(&id.len()) && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if fits {
        return Ok(());
    }
    Err(ClientError::Refused(format!(
        "\"{id}\" cannot be the name of a recovery; nothing was started; next step: use 1 to 80 letters, digits, - and _"
    )))
}
