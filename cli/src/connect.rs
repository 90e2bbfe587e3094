//! Connects to AWS: credentials, the state machine, and the table that it writes to.

use crate::args::Options;
use crate::exit::Failure;
use rewind_aws::Aws;
use rewind_aws::executions::{Executions, StepFunctions};
use rewind_aws::invoke::Lambda;
use rewind_aws::recoveries::RecoveryTable;
use rewind_client::{Deployment, RecoveryClient};

/// The client of recoveries on AWS.
pub(crate) type AwsClient = RecoveryClient<StepFunctions, RecoveryTable, Lambda>;

/// Makes the client that the options ask for.
pub(crate) async fn connect(options: &Options) -> Result<(Aws, AwsClient), Failure> {
    let missing = "it is not known which state machine: set STATE_MACHINE_ARN, or give --state-machine-arn, as the stack's \
                   outputs have it; for the local stack: set -a; . .local/stack.env; set +a";
    let state_machine = options.state_machine_arn.clone().ok_or_else(|| Failure::Usage(missing.to_owned()))?;
    let aws = Aws::from_chain(options.profile.as_deref(), options.region.as_deref()).await?;
    let executions = StepFunctions::new(&aws);
    let table = match &options.table {
        Some(table) => table.clone(),
        None => table_of(&executions, &state_machine).await?,
    };
    let client = RecoveryClient {
        executions,
        recoveries: RecoveryTable::new(&aws, table),
        functions: Lambda::new(&aws),
        deployment: Deployment {
            state_machine,
            undo_state_machine: options.undo_state_machine_arn.clone(),
            set_window_function: options.set_window_function.clone(),
        },
    };
    Ok((aws, client))
}

/// Finds the table that a state machine records its recoveries in.
// Its definition names the table, so nobody has to configure it: a table of another stack would hold other recoveries.
async fn table_of(executions: &StepFunctions, state_machine: &str) -> Result<String, Failure> {
    let definition = executions.definition(state_machine).await?;
    let table = definition.pointer("/States/RecordPlan/Arguments/TableName").and_then(|table| table.as_str());
    table.map(ToOwned::to_owned).ok_or_else(|| {
        Failure::Usage(format!(
            "{state_machine} is no state machine of aurora-rewind: see STATE_MACHINE_ARN, or set REWIND_TABLE"
        ))
    })
}

/// Names the person who decides, for the record: the login on this machine, and the identity that AWS knows.
pub(crate) async fn caller_name(aws: &Aws) -> Result<String, Failure> {
    let caller = aws.caller().await?;
    // A team may share one role session, and the login of a laptop proves nothing: the record gets both.
    let login = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok().filter(|login| !login.is_empty()));
    Ok(login.map_or_else(|| caller.clone(), |login| format!("{login} ({caller})")))
}
