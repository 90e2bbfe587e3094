//! Connects to AWS: credentials, the state machine, and the table that it writes to.

use crate::args::Options;
use crate::exit::Failure;
use rewind_aws::Aws;
use rewind_aws::executions::{Executions, StepFunctions};
use rewind_aws::invoke::Lambda;
use rewind_aws::recoveries::RecoveryTable;
use rewind_aws::stacks::{self, CloudFormation};
use rewind_client::{Deployment, RecoveryClient};

/// The client of recoveries on AWS.
pub(crate) type AwsClient = RecoveryClient<StepFunctions, RecoveryTable, Lambda>;

/// Makes the client that the options ask for.
pub(crate) async fn connect(options: &Options) -> Result<(Aws, AwsClient), Failure> {
    let aws = Aws::from_chain(options.profile.as_deref(), options.region.as_deref()).await?;
    let stack = match (&options.stack, &options.state_machine_arn) {
        (None, Some(state_machine)) => Stack { state_machine: state_machine.clone(), ..Stack::default() },
        (name, _) => find_stack(&CloudFormation::new(&aws), name.as_deref()).await?,
    };
    let stack = stack.with(options);
    let executions = StepFunctions::new(&aws);
    let table = match stack.table {
        Some(table) => table,
        None => table_of(&executions, &stack.state_machine).await?,
    };
    let client = RecoveryClient {
        executions,
        recoveries: RecoveryTable::new(&aws, table),
        functions: Lambda::new(&aws),
        deployment: Deployment {
            state_machine: stack.state_machine,
            undo_state_machine: stack.undo_state_machine,
            set_window_function: stack.set_window_function,
            compare_tables_function: stack.compare_tables_function,
            clean_up_state_machine: stack.clean_up_state_machine,
            cleans_up: stack.clean_up.map(|clean_up| clean_up == "ENABLED"),
            open_state_machine: stack.open_state_machine,
        },
    };
    Ok((aws, client))
}

/// The resources of a stack that the command uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Stack {
    state_machine: String,
    undo_state_machine: Option<String>,
    set_window_function: Option<String>,
    compare_tables_function: Option<String>,
    clean_up_state_machine: Option<String>,
    /// `ENABLED` or `DISABLED`; a stack of an earlier version does not say it.
    clean_up: Option<String>,
    open_state_machine: Option<String>,
    table: Option<String>,
}

impl Stack {
    /// The same stack with the resources that the options name: a resource that somebody types is the one that is meant.
    fn with(self, options: &Options) -> Self {
        let or = |given: &Option<String>, found: Option<String>| given.clone().or(found);
        Self {
            undo_state_machine: or(&options.undo_state_machine_arn, self.undo_state_machine),
            set_window_function: or(&options.set_window_function, self.set_window_function),
            compare_tables_function: or(&options.compare_tables_function, self.compare_tables_function),
            clean_up_state_machine: or(&options.clean_up_state_machine_arn, self.clean_up_state_machine),
            clean_up: or(&options.clean_up, self.clean_up),
            open_state_machine: or(&options.open_state_machine_arn, self.open_state_machine),
            table: or(&options.table, self.table),
            ..self
        }
    }
}

/// Finds the stack of that name, or the only one of aurora-rewind.
async fn find_stack(stacks: &CloudFormation, name: Option<&str>) -> Result<Stack, Failure> {
    let by_hand = "give --stack, or set STATE_MACHINE_ARN, as the stack's outputs have it; for the local stack: set -a; \
                   . .local/stack.env; set +a";
    let found = stacks
        .stacks(name)
        .await
        .map_err(|error| Failure::Error(with_step(&format!("it is not known which stack: {error}"), by_hand)))?;
    chosen(found, name).map_err(|why| Failure::Usage(with_step(&why, by_hand)))
}

/// Adds what can be done to a message, as another way where the message has one.
fn with_step(message: &str, step: &str) -> String {
    let joint = if message.contains("; next step: ") { "; or " } else { "; next step: " };
    format!("{message}{joint}{step}")
}

/// Chooses among stacks: the one that was asked for, or the only one of aurora-rewind.
fn chosen(found: Vec<stacks::Stack>, name: Option<&str>) -> Result<Stack, String> {
    let mut of_rewind: Vec<stacks::Stack> =
        found.into_iter().filter(|stack| OUTPUTS.iter().all(|output| stack.outputs.contains_key(*output))).collect();
    let stack = of_rewind.pop().ok_or_else(|| match name {
        Some(name) => format!("there is no stack {name} of aurora-rewind in this account and Region"),
        None => "there is no stack of aurora-rewind in this account and Region".to_owned(),
    })?;
    // Nothing tells which one is meant, and in the wrong one the recoveries of others would be decided on.
    if !of_rewind.is_empty() {
        let names: Vec<&str> = of_rewind.iter().chain([&stack]).map(|stack| stack.name.as_str()).collect();
        return Err(format!("there are several stacks of aurora-rewind: {}", names.join(", ")));
    }
    let output = |key: &str| stack.outputs.get(key).cloned();
    Ok(Stack {
        state_machine: output("StateMachineArn").unwrap_or_default(),
        undo_state_machine: output("UndoStateMachineArn"),
        set_window_function: output("SetWindowFunctionName"),
        compare_tables_function: output("CompareTablesFunctionName"),
        clean_up_state_machine: output("CleanUpStateMachineArn"),
        clean_up: output("CleanUp"),
        open_state_machine: output("OpenStateMachineArn"),
        table: output("TableName"),
    })
}

/// The outputs that no other stack has together.
const OUTPUTS: [&str; 3] = ["StateMachineArn", "UndoStateMachineArn", "TableName"];

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_one_next_step() {
        assert_eq!(with_step("there is no stack", "give --stack"), "there is no stack; next step: give --stack");
        let two = with_step("AWS answered AccessDenied; next step: allow it", "give --stack");
        assert_eq!(two, "AWS answered AccessDenied; next step: allow it; or give --stack");
    }

    fn stack(name: &str, outputs: &[&str]) -> stacks::Stack {
        let outputs = outputs.iter().map(|key| ((*key).to_owned(), format!("{name}'s {key}"))).collect();
        stacks::Stack { name: name.to_owned(), outputs }
    }

    #[test]
    fn the_only_stack_of_aurora_rewind_is_found_among_others() {
        let optional = [
            "SetWindowFunctionName",
            "CompareTablesFunctionName",
            "CleanUpStateMachineArn",
            "CleanUp",
            "OpenStateMachineArn",
        ];
        let all = [&OUTPUTS[..], &optional].concat();
        let other = stack("network", &["StateMachineArn"]);
        let found = chosen(vec![other.clone(), stack("rewind", &all)], None).unwrap();
        assert_eq!(found.state_machine, "rewind's StateMachineArn");
        assert_eq!(found.table.as_deref(), Some("rewind's TableName"));
        assert_eq!(found.set_window_function.as_deref(), Some("rewind's SetWindowFunctionName"));
        assert_eq!(found.compare_tables_function.as_deref(), Some("rewind's CompareTablesFunctionName"));
        assert_eq!(found.clean_up_state_machine.as_deref(), Some("rewind's CleanUpStateMachineArn"));
        assert_eq!(found.clean_up.as_deref(), Some("rewind's CleanUp"));
        assert_eq!(found.open_state_machine.as_deref(), Some("rewind's OpenStateMachineArn"));
        assert!(chosen(vec![other], None).unwrap_err().contains("no stack of aurora-rewind"));
        assert!(chosen(Vec::new(), Some("mine")).unwrap_err().contains("no stack mine"));
        let two = chosen(vec![stack("one", &all), stack("two", &all)], None).unwrap_err();
        assert!(two.contains("one, two"), "{two}");
    }
}
