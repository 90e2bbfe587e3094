//! The state machines against the functions, the template, the error names and the documentation.

use crate::files;
use crate::functions::{CALLED_BY_OPERATORS, Function};
use crate::machine::Machine;
use crate::template::{Template, texts};
use regex::Regex;
use rewind_core::ErrorName;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Error names of Step Functions, Lambda and DynamoDB that a state may match.
const PLATFORM: [&str; 28] = [
    "States.ALL",
    "States.Timeout",
    "States.QueryEvaluationError",
    "States.DataLimitExceeded",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.Unknown",
    "Lambda.ResourceNotReadyException",
    "Lambda.ENINotReadyException",
    "Lambda.CodeArtifactUserPendingException",
    "Lambda.ResourceConflictException",
    "Lambda.EC2ThrottledException",
    "Lambda.EC2UnexpectedException",
    "Lambda.ENILimitReachedException",
    "Lambda.SubnetIPAddressLimitReachedException",
    "Sandbox.Timedout",
    "Runtime.ExitError",
    "DynamoDB.ConditionalCheckFailedException",
    "DynamoDB.ProvisionedThroughputExceededException",
    "DynamoDB.RequestLimitExceeded",
    "DynamoDB.ThrottlingException",
    "DynamoDB.InternalServerError",
    "DynamoDB.AmazonDynamoDBException",
    "DynamoDB.SdkClientException",
    "DynamoDB.TransactionConflictException",
];

/// States that call a function under another name than its own, and why.
const OTHER_NAMES: [(&str, &str); 27] = [
    ("AwaitInstances", "AwaitRewind"), // waits for something else
    ("FailOver", "AddInstances"),      // its second part, which most recoveries pass by
    ("AwaitDeletion", "AwaitRewind"),
    ("AwaitForward", "AwaitRewind"),
    ("AwaitInSync", "AwaitRewind"),
    ("ConfirmSource", "ConfirmCutover"), // in the direction of an undo
    ("VerifyForward", "Verify"),         // expects something else
    ("FenceRestored", "FenceSource"),    // the same fence around the other writer
    ("InspectFence", "FenceSource"),     // the same fence again, right before what relies on it
    ("LiftFence", "FenceSource"),        // its undo, which in place is a step of a recovery that works
    ("UndoFenceRestored", "FenceSource"),
    ("HoldScheduler", "HoldJobs"),        // before there is an instance to log in to
    ("ReleaseJobs", "HoldJobs"),          // its undo, which after a cutover is a step of a recovery that works
    ("LiftRestoredFence", "FenceSource"), // its undo, which leaves traffic where it is
    ("OpenRestored", "FenceSource"),      // the same, where nothing had moved
    ("ReadRecords", "SwapDns"),           // moves none
    ("ReadRecordsAgain", "SwapDns"),      // the same, before the restored cluster is opened
    ("ReadRecordsBack", "SwapDns"),       // after a move back that failed
    ("InspectRestored", "Preflight"),     // before a rejected cluster is deleted
    ("KeepRestored", "Finish"),           // the end of a recovery that failed
    ("KeepSafetyClone", "Finish"),        // the end of one that an undo settles
    ("CloseSource", "OpenSource"),        // its undo, which is what people ask for
    ("FindDue", "CleanUp"),               // what comes before the deletion changes nothing
    ("CheckUnused", "CleanUp"),
    ("FindRecordsAgain", "FindRecords"),
    ("UndoAddInstances", "DeleteRestored"), // whose role may not set the tag of what it deletes
    ("UndoStartRestore", "DeleteRestored"),
];

/// Steps that another function undoes, and that function.
const UNDONE_BY_ANOTHER: [(&str, &str); 2] = [("AddInstances", "DeleteRestored"), ("StartRestore", "DeleteRestored")];

/// States of an undo whose names do not say so.
const UNDOING: [&str; 10] = [
    "CloseSource",
    "InspectRestored",
    "FenceRestored",
    "AwaitForward",
    "VerifyForward",
    "AwaitDeletion",
    "LiftRestoredFence",
    "OpenRestored",
    "ReadRecords",
    "ReadRecordsBack",
];

const INVOKE: &str = "arn:${Partition}:states:::lambda:invoke";
const INVOKE_AND_WAIT: &str = "arn:${Partition}:states:::lambda:invoke.waitForTaskToken";
const PUT_EVENTS: &str = "arn:${Partition}:states:::events:putEvents";
const PUBLISH: &str = "arn:${Partition}:states:::sns:publish";
const START_EXECUTION: &str = "arn:${Partition}:states:::states:startExecution";
const DESCRIBE: &str = "arn:${Partition}:states:::aws-sdk:sfn:describeExecution";
const STOP: &str = "arn:${Partition}:states:::aws-sdk:sfn:stopExecution";
const SEE_RULES: &str = "arn:${Partition}:states:::aws-sdk:ec2:describeSecurityGroupRules";
const ADMIT: &str = "arn:${Partition}:states:::aws-sdk:ec2:authorizeSecurityGroupIngress";
const REVOKE: &str = "arn:${Partition}:states:::aws-sdk:ec2:revokeSecurityGroupIngress";
const NATIVE: [&str; 12] = [
    SEE_RULES,
    ADMIT,
    REVOKE,
    STOP,
    PUT_EVENTS,
    START_EXECUTION,
    PUBLISH,
    DESCRIBE,
    "arn:${Partition}:states:::dynamodb:putItem",
    "arn:${Partition}:states:::dynamodb:getItem",
    "arn:${Partition}:states:::dynamodb:updateItem",
    "arn:${Partition}:states:::dynamodb:deleteItem",
];

fn set<T: Into<String>>(items: impl IntoIterator<Item = T>) -> BTreeSet<String> {
    items.into_iter().map(Into::into).collect()
}

// ---------------------------------------------------------------------------------------------- one stem everywhere

#[test]
fn every_function_has_a_resource_and_a_state_and_the_other_way_round() {
    let template = Template::read();
    let all = set(Function::all().into_iter().map(|function| function.name));
    assert_eq!(all, set(template.functions().map(|(name, _)| name)), "functions/ against the template");
    let functions = set(Function::steps().into_iter().map(|function| function.name));
    let machines = Machine::all();
    let invoked = set(machines.iter().flat_map(Machine::invocations).map(|(_, _, function)| function));
    // In both directions: a function that nothing calls is dead, and a call of one that is not there fails at run time
    // only.
    assert_eq!(functions, invoked, "functions/ (left) against the functions that states invoke (right)");
    for function in functions.iter().filter(|name| !UNDONE_BY_ANOTHER.iter().any(|(_, undoes)| undoes == name)) {
        let named = machines.iter().flat_map(Machine::states).any(|(name, _)| name == function);
        // People look for the function of a failed state under the state's name.
        assert!(named, "{function} has no state of its name");
    }
}

#[test]
fn each_machine_is_given_what_it_names_and_nothing_else() {
    let template = Template::read();
    let placeholder = Regex::new(r"\$\{(\w+)\}").unwrap();
    for machine in Machine::all() {
        let mut given = template.resource(machine.resource)["DefinitionSubstitutions"].as_object().unwrap().clone();
        let text = files::read(machine.path);
        let used = set(placeholder.captures_iter(&text).map(|found| found[1].to_owned()));
        // A placeholder without a value reaches AWS as text, and a value without a placeholder is a permission that
        // nobody uses.
        assert_eq!(used, set(given.keys()), "{} (left) against its substitutions (right)", machine.path);
        assert_eq!(given.remove("TableName"), Some(Value::from("Table")));
        assert_eq!(given.remove("Partition"), Some(Value::from("AWS::Partition")));
        assert!(given.remove("TopicArn").is_none_or(|topic| topic == "Approvals"));
        assert!(given.remove("EventBusName").is_none_or(|bus| bus == "EventBus"));
        assert!(given.remove("FenceWatchArn").is_none_or(|watch| watch == "FenceWatch"));
        assert_eq!(given.remove("OpenSecurityGroupId").is_some(), ["Open", "Undo"].contains(&machine.resource));
        assert!(given.remove("CleanUp").is_none_or(|state| state == "CleanUp"));
        assert!(given.remove("UndoArn").is_none_or(|undo| undo == "Undo"));
        assert!(given.remove("RewindArn").is_none_or(|rewind| rewind == "Rewind"));
        assert!(given.remove("OpenArn").is_none_or(|open| open == "Open"));
        for (name, value) in given {
            let function = name.strip_suffix("FunctionArn").unwrap_or_else(|| panic!("{name} is no function"));
            assert_eq!(value, format!("{function}Function.Arn"));
        }
        assert_eq!(
            template.resource(machine.resource)["DefinitionUri"],
            format!("../{}", machine.path),
            "{}",
            machine.resource
        );
        assert_eq!(template.resource(machine.resource)["Role"], format!("{}Role.Arn", machine.resource));
    }
    let definitions = files::names_in("statemachine").into_iter().filter(|name| name.ends_with(".asl.json"));
    let known = Machine::all().map(|machine| machine.path.trim_start_matches("statemachine/").to_owned());
    // A definition that no test knows would be deployed without any of these checks.
    assert_eq!(set(definitions), set(known));
}

#[test]
fn functions_for_operators_are_in_the_contract_and_their_names_among_the_outputs() {
    let template = Template::read();
    let steps = files::read("docs/steps.md");
    for name in CALLED_BY_OPERATORS {
        let function = Function::all().into_iter().find(|function| function.name == name);
        let stem = function.unwrap_or_else(|| panic!("there is no function {name}")).stem;
        assert_eq!(template.output(&format!("{name}FunctionName")), &format!("{name}Function"));
        assert!(steps.contains(&format!("\n## {stem}\n")), "docs/steps.md has no section of {stem}");
    }
}

#[test]
fn folder_crate_binary_and_zip_have_one_stem() {
    let template = Template::read();
    for function in Function::all() {
        let stem = &function.stem;
        assert!(
            function.manifest.contains(&format!("name = \"{stem}\"")),
            "the crate in functions/{stem} is named otherwise"
        );
        // cargo-lambda names the zip after the binary, and the template looks for it under the folder's name.
        assert!(!function.manifest.contains("[[bin]]"), "functions/{stem}: the binary has the crate's name by default");
        assert!(
            files::root().join(format!("functions/{stem}/src/main.rs")).exists(),
            "functions/{stem} has no main.rs"
        );
        let code = &template.resource(&format!("{}Function", function.name))["CodeUri"];
        assert_eq!(code, &format!("../target/lambda/{stem}/bootstrap.zip"));
    }
}

#[test]
fn a_state_bears_the_name_of_its_function_or_is_listed() {
    let machines = Machine::all();
    for (name, state, function) in machines.iter().flat_map(Machine::invocations) {
        let direction = state["Arguments"]["Payload"].get("direction");
        // A misspelt direction would run the step forward, in the middle of an undo.
        assert!(direction.is_none_or(|direction| direction == "undo"), "{name}");
        let expected = match (OTHER_NAMES.iter().find(|(other, _)| *other == name), direction) {
            (Some((_, function)), _) => function,
            (None, None) => name,
            (None, Some(_)) => name.strip_prefix("Undo").unwrap_or_else(|| panic!("{name} undoes and does not say so")),
        };
        assert_eq!(function, expected, "{name} invokes {function}");
    }
}

#[test]
fn a_step_that_can_be_undone_has_an_undo_state_and_no_other_has() {
    let machine = Machine::rewind();
    let undo = Machine::undo();
    // A failure after Finish undoes nothing, so only people undo it.
    let by_people = undo.states().filter_map(|(name, _)| name.strip_prefix("Undo")).filter(|name| *name == "Finish");
    let undone = set(machine.states().filter_map(|(name, _)| name.strip_prefix("Undo")).chain(by_people));
    let steps = set(machine.invocations().map(|(_, _, function)| function));
    let undoes_others = |name: &String| UNDONE_BY_ANOTHER.iter().any(|(_, undoes)| undoes == name);
    let own = Function::all().into_iter().filter(|function| steps.contains(&function.name) && function.has_undo());
    let own = own.map(|function| function.name).filter(|name| !undoes_others(name));
    let by_another = UNDONE_BY_ANOTHER.iter().map(|(step, _)| (*step).to_owned());
    // A step with an undo that no state calls would leave its change behind after a failure.
    assert_eq!(undone, set(own.chain(by_another)));
}

#[test]
fn each_machine_may_do_what_its_states_do_and_nothing_else() {
    let template = Template::read();
    for machine in Machine::all() {
        let role = format!("{}Role", machine.resource);
        let policies = &template.resource(&role)["Policies"][0]["PolicyDocument"]["Statement"];
        let mut statements: Vec<&Value> = policies.as_array().unwrap().iter().collect();
        // Apart from the role where a policy names the machine, which is created after its role.
        let apart = template.statements_of_policies_of(&role);
        statements.extend(apart);
        let invoke = statements.iter().find(|s| s["Action"] == "lambda:InvokeFunction");
        let functions = set(machine.invocations().map(|(_, _, function)| format!("{function}Function.Arn")));
        let allowed = invoke.map(|invoke| texts(&invoke["Resource"])).unwrap_or_default();
        assert_eq!(set(allowed), functions, "{role} (left) against the states (right)");
        let calls = machine
            .tasks()
            .filter_map(|(_, state)| state["Resource"].as_str()?.strip_prefix("arn:${Partition}:states:::"));
        let needed = set(calls.map(|call| match call.split_once(':').unwrap() {
            ("lambda", _) => "lambda:InvokeFunction".to_owned(),
            ("aws-sdk", "sfn:describeExecution") => "states:DescribeExecution".to_owned(),
            ("aws-sdk", "sfn:stopExecution") => "states:StopExecution".to_owned(),
            ("aws-sdk", call) => {
                let (service, call) = call.split_once(':').unwrap();
                format!("{service}:{}{}", call[..1].to_uppercase(), &call[1..])
            }
            (service, call) => format!("{service}:{}{}", call[..1].to_uppercase(), &call[1..]),
        }));
        // A missing permission shows only on AWS, in the first recovery that comes to that state.
        assert_eq!(needed, Template::actions(statements), "states (left) against {role} (right)");
    }
}

#[test]
fn every_function_that_is_passed_a_plan_verifies_it_and_one_alone_signs() {
    let template = Template::read();
    let machines = Machine::all();
    let passed = |function: &Function| -> BTreeSet<bool> {
        let states = machines.iter().flat_map(Machine::invocations).filter(|(_, _, called)| *called == function.name);
        states.map(|(_, state, _)| state["Arguments"]["Payload"].get("plan").is_some()).collect()
    };
    let mut verifying = 0;
    for function in Function::all() {
        let passed = passed(&function);
        // A function that some states give a plan and others not could not be told which to believe.
        assert!(passed.len() <= 1, "{} is passed a plan by some states only", function.stem);
        let has_plan = passed.contains(&true);
        assert_eq!(function.verifies_plans(), has_plan, "{} and the plan of its payload", function.stem);
        // A dry run ends before every other step.
        assert_eq!(function.is_in_dry_runs(), function.name == "Preflight", "{} in dry runs", function.stem);
        // validate-window signs, and verifies the plan of what a recovery resumes.
        let verifies = has_plan || function.name == "ValidateWindow";
        assert_eq!(function.actions().contains("kms:VerifyMac"), verifies, "{}", function.stem);
        let resource = template.resource(&format!("{}Function", function.name));
        let signed_with: BTreeSet<String> = Template::statements(resource)
            .into_iter()
            .filter(|statement| texts(&statement["Action"]).iter().any(|action| action == "kms:GenerateMac"))
            .flat_map(|statement| texts(&statement["Resource"]))
            .collect();
        // Whoever signs approvals signs no plan, and the other way round.
        let expected = match function.name.as_str() {
            "ValidateWindow" => set(["PlanKey.Arn"]),
            "ConfirmApproval" => set(["ApprovalKey.Arn"]),
            _ => BTreeSet::new(),
        };
        assert_eq!(signed_with, expected, "{} signs", function.stem);
        let own = &resource["Environment"]["Variables"]["REWIND_PLAN_KEY"];
        // One key for all: a function with a key of its own would refuse every plan.
        assert!(own.is_null(), "{} has a key of its own", function.stem);
        verifying += usize::from(has_plan);
    }
    assert!(verifying >= 15, "{verifying} functions verify plans");
    assert_eq!(template.of_every_function("Environment")["Variables"]["REWIND_PLAN_KEY"], "PlanKey.Arn");
}

#[test]
fn what_moves_clients_is_passed_the_approval_and_verifies_it() {
    let template = Template::read();
    let moving = ["FenceSource", "StartBacktrack", "SwapDns"];
    for function in Function::all() {
        assert_eq!(function.is_approved(), moving.contains(&function.name.as_str()), "{}", function.stem);
        let resource = template.resource(&format!("{}Function", function.name));
        let key = &resource["Environment"]["Variables"]["REWIND_APPROVAL_KEY"];
        let has_key = function.is_approved() || function.name == "ConfirmApproval";
        assert_eq!(key.as_str(), has_key.then_some("ApprovalKey.Arn"), "{}", function.stem);
    }
    // By the state of the same name: others call these functions to undo, to read, or on the restored cluster.
    let machine = Machine::rewind();
    for name in moving.into_iter().chain(["ConfirmApproval", "UndoStartBacktrack"]) {
        let (_, state, _) = machine.invocations().find(|(state, ..)| *state == name).unwrap();
        assert!(state["Arguments"]["Payload"]["approval"].is_string(), "{name}");
    }
}

// ------------------------------------------------------------------------------------------------------ error names

#[test]
fn a_state_matches_only_names_that_something_raises() {
    // A misspelt name in ErrorEquals never matches, and no interpreter complains about it.
    let known: BTreeSet<&str> = ErrorName::ALL.iter().map(|name| name.as_str()).chain(PLATFORM).collect();
    for (name, state) in Machine::all().iter().flat_map(Machine::states) {
        for at in ["Retry", "Catch"] {
            for matcher in state[at].as_array().into_iter().flatten() {
                for error in texts(&matcher["ErrorEquals"]) {
                    assert!(known.contains(error.as_str()), "{name} matches {error}, which nothing raises");
                }
            }
        }
    }
}

#[test]
fn a_failure_that_a_machine_finds_itself_has_a_name_of_ours_and_names_its_state() {
    for machine in Machine::all() {
        for (name, state) in machine.states() {
            for assign in Machine::assigns(state) {
                for failure in ["failure", "undoFailure"].into_iter().filter_map(|at| assign.get(at)?.as_object()) {
                    if name == "Begin" {
                        continue; // its first value
                    }
                    let error = failure["Error"].as_str().unwrap();
                    // The rule that pages for unexpected ends tells them by these names.
                    assert!(ErrorName::ALL.iter().any(|known| known.as_str() == error), "{name} fails with {error}");
                    let at = failure["state"].as_str().unwrap();
                    assert!(!machine.state(at).is_null(), "{name} fails in {at}, which is no state");
                }
            }
        }
    }
}

#[test]
fn every_error_name_has_a_page_with_the_same_three_sections_and_every_page_a_name() {
    let pages = set(files::names_in("docs/errors").into_iter().filter(|page| page != "README.md"));
    assert_eq!(pages, set(ErrorName::ALL.iter().map(|name| format!("{name}.md"))));
    for page in pages {
        let text = files::read(format!("docs/errors/{page}"));
        let title = format!("# {}", page.trim_end_matches(".md"));
        let headings: Vec<&str> = text.lines().filter(|line| line.starts_with('#')).collect();
        assert_eq!(
            headings,
            [title.as_str(), "## What happened", "## What was and was not changed", "## What to do"],
            "{page}"
        );
        for section in text.split("\n## ").skip(1) {
            assert!(section.lines().skip(1).any(|line| !line.trim().is_empty()), "{page}: an empty section");
        }
    }
    let index = files::read("docs/errors/README.md");
    for name in ErrorName::ALL {
        assert!(index.contains(&format!("]({name}.md)")), "docs/errors/README.md does not lead to {name}");
    }
}

// -------------------------------------------------------------------------------------------------------- the states

#[test]
fn every_task_has_a_timeout_a_retry_and_a_catch_of_everything() {
    for (name, state) in Machine::all().iter().flat_map(Machine::tasks) {
        // A person's time is known only when it begins; how long a function may take is known beforehand.
        let by_expression = state["Resource"] == INVOKE_AND_WAIT && state["TimeoutSeconds"].is_string();
        assert!(by_expression || state["TimeoutSeconds"].is_u64(), "{name}: TimeoutSeconds is a number");
        assert!(state["Retry"].as_array().is_some_and(|retry| !retry.is_empty()), "{name} has no Retry");
        let catch = state["Catch"].as_array().unwrap_or_else(|| panic!("{name} has no Catch"));
        // Without it an error ends the execution where it is: lease held, fence closed, nobody notified.
        assert_eq!(catch.last().unwrap()["ErrorEquals"][0], "States.ALL", "{name} lets an error through");
        let resource = state["Resource"].as_str().unwrap();
        assert!(NATIVE.contains(&resource) || [INVOKE, INVOKE_AND_WAIT].contains(&resource), "{name} calls {resource}");
    }
}

/// States without whose function a recovery goes on: nothing that lasts is waited for.
const OPTIONAL: [&str; 1] = ["CompareTables"];

#[test]
fn retries_are_the_same_wherever_the_same_is_called() {
    let machines = Machine::all();
    let mut kinds: BTreeMap<(&str, bool), BTreeSet<String>> = BTreeMap::new();
    // Without them nobody can go back, or on, and clients have a database: they outlast half an hour of a table that is away.
    let patient = [
        "NoteFence",
        "NoteLift",
        "RecordRecovered",
        "RecordFailure",
        "RecordUndone",
        "RecordLetIn",
        "EndFenceWatch",
        "EndWatchOfRecovery",
        "EndFenceWatchAfterUndo",
        "EndFenceWatchAfterFailure",
        "RecordCancelled",
        "RecordStopped",
        "RecordUndoStopped",
        "EndUndoWatch",
        "ReadOpening",
        "ReadUndone",
        "RecordClosed",
        "RecordSourceClosed",
    ];
    for (name, state) in machines.iter().flat_map(Machine::tasks) {
        let kind = match state["Resource"].as_str().unwrap() {
            _ if OPTIONAL.contains(&name) => "optional function",
            resource if !resource.contains(":dynamodb:") => resource,
            _ if patient.contains(&name) => "patient table",
            _ => "table",
        };
        // Minutes or an hour, by the stage that a state is in: statemachine/src/rewind/mod.rs.
        let hour = is_waited_out(&state["Retry"]);
        kinds.entry((kind, hour)).or_default().insert(state["Retry"].to_string());
    }
    let known = [
        (ADMIT, false),
        (SEE_RULES, false),
        (REVOKE, false),
        (DESCRIBE, false),
        (STOP, false),
        (PUT_EVENTS, false),
        (INVOKE, false),
        (INVOKE, true),
        (INVOKE_AND_WAIT, true),
        (PUBLISH, false),
        (START_EXECUTION, false),
        ("optional function", false),
        ("patient table", false),
        ("table", false),
    ];
    assert_eq!(kinds.keys().copied().collect::<Vec<_>>(), known);
    for ((kind, _), retries) in kinds {
        // A difference between two states that call the same is a slip in one of them.
        assert_eq!(retries.len(), 1, "{kind} is retried in {} ways", retries.len());
    }
}

#[test]
fn retries_follow_the_error_table() {
    let machine = Machine::rewind();
    let (_, task, _) = machine.invocations().find(|(name, _, _)| *name == "StartRestore").unwrap();
    let retry = |error: ErrorName| {
        let retriers = task["Retry"].as_array().unwrap();
        retriers.iter().find(|r| texts(&r["ErrorEquals"]).iter().any(|name| name == error.as_str()))
    };
    for error in ErrorName::ALL {
        match error {
            ErrorName::Throttled | ErrorName::Unavailable => {
                let retry = retry(error).unwrap();
                // Recoveries of many clusters start at the same time, after the same mistake.
                assert_eq!(retry["JitterStrategy"], "FULL");
                assert!(retry["MaxDelaySeconds"].is_u64() && retry["MaxAttempts"].as_u64() >= Some(5));
            }
            ErrorName::ClusterNotReady => {
                let retry = retry(error).unwrap();
                let minutes = retry["IntervalSeconds"].as_u64().unwrap() * retry["MaxAttempts"].as_u64().unwrap() / 60;
                assert_eq!((minutes, retry["BackoffRate"].as_u64()), (20, Some(1)));
            }
            // Once: a step begins by reading what is there, so its repetition is "read, then decide".
            ErrorName::OutcomeUnknown => assert_eq!(retry(error).unwrap()["MaxAttempts"], 1),
            _ => assert!(retry(error).is_none(), "{error} is retried"),
        }
    }
    // An unknown error may be a change that half happened, which a blind retry would do twice.
    assert!(!task["Retry"].to_string().contains("States.ALL"), "what has no name here is not retried");
}

/// True if a state waits out an hour of what passes by itself.
fn is_waited_out(retry: &Value) -> bool {
    retry.as_array().unwrap().iter().any(|retry| retry["MaxAttempts"].as_u64() == Some(125))
}

/// A function in a VPC that was idle for weeks is made anew at its first call, which takes minutes.
/// <https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html>
#[test]
fn a_function_that_is_not_ready_is_waited_for_for_ten_minutes_or_an_hour() {
    let machines = Machine::all();
    let invocations = machines.iter().flat_map(Machine::invocations).map(|(name, state, _)| (name, state));
    for (name, state) in invocations.filter(|(name, _)| !OPTIONAL.contains(name)) {
        let retriers = state["Retry"].as_array().unwrap();
        let retry = retriers
            .iter()
            .find(|retry| texts(&retry["ErrorEquals"]).iter().any(|error| error == "Lambda.ResourceNotReadyException"));
        let retry = retry.unwrap_or_else(|| panic!("{name} gives up on a function that is not ready"));
        let number = |field: &str| retry[field].as_u64().unwrap_or_else(|| panic!("{name}: {field}"));
        let (first, rate, longest) = (number("IntervalSeconds"), number("BackoffRate"), number("MaxDelaySeconds"));
        let waits = std::iter::successors(Some(first), |wait| Some((wait * rate).min(longest)));
        let seconds: u64 = waits.take(usize::try_from(number("MaxAttempts")).unwrap()).sum();
        match retry.get("JitterStrategy") {
            // Full jitter halves the time that is waited.
            Some(_) => assert!((3_300..3_900).contains(&(seconds / 2)), "{name} waits for {} s", seconds / 2),
            None => assert!((600..660).contains(&seconds), "{name} waits for {seconds} s"),
        }
    }
}

#[test]
fn a_failed_execution_has_an_error_of_ours_and_any_other_pages() {
    let ours: Vec<&str> = ErrorName::ALL.iter().map(|name| name.as_str()).collect();
    let list = Regex::new(r"\$failure\.Error in \[([^\]]*)\] \? \$failure\.Error").unwrap();
    let mut concluded = 0;
    for (name, state) in Machine::all().iter().flat_map(Machine::states) {
        for expression in Machine::expressions(state) {
            for found in list.captures_iter(expression) {
                let names: Vec<&str> = found[1].split(", ").map(|name| name.trim_matches('\'')).collect();
                assert_eq!(names, ours, "{name}");
                concluded += 1;
            }
        }
    }
    // Found by its text, so the count proves that the pattern still matches.
    assert_eq!(concluded, 9, "two ends of each machine, and a third of a recovery");
    let template = Template::read();
    let detail = &template.resource("UnexpectedEndRule")["EventPattern"]["detail"];
    let stopped = &template.resource("StoppedRule")["EventPattern"]["detail"];
    let machines = set(Machine::all().map(|machine| machine.resource));
    // Of a recovery, its undo and an opening another machine tells, which knows whether anybody has to look.
    let found = [&detail["stateMachineArn"], &stopped["stateMachineArn"]].map(texts).concat();
    assert_eq!((set(found.clone()), found.len()), (machines.clone(), machines.len()));
    assert_eq!(texts(&stopped["stateMachineArn"]), ["Rewind", "Undo", "Open"]);
    assert_eq!(stopped["$or"], detail["$or"]);
    assert_eq!(texts(&detail["$or"][0]["status"]), ["TIMED_OUT", "ABORTED"]);
    assert_eq!(texts(&detail["$or"][1]["status"]), ["FAILED"]);
    assert_eq!(texts(&detail["$or"][1]["error"][1]["anything-but"]), ours);
}

#[test]
fn a_recovery_that_was_stopped_pages_whatever_it_had_done() {
    let stopped = Machine::stopped();
    let (announce, sent) = announced(&stopped, "AnnounceStopped");
    assert_eq!(sent.len(), 2, "{sent:?}");
    let template = Template::read();
    for rule in ["NeedsOperatorRule", "NotifyFailureRule", "ChatRule"] {
        let heard = set(texts(&template.resource(rule)["EventPattern"]["detail-type"]));
        assert!(sent.is_subset(&heard), "{rule} does not hear {sent:?}");
    }
    // A lost event is no silence: it leads to an end that is counted, and the count pages.
    assert_eq!(announce["Catch"][0]["Assign"]["unsent"], true);
}

#[test]
fn the_channel_hears_each_end_of_a_recovery() {
    let rewind = Machine::rewind();
    let template = Template::read();
    let heard = set(texts(&template.resource("ChatRule")["EventPattern"]["detail-type"]));
    let (_, mut ends) = announced(&rewind, "AnnounceFailure");
    assert_eq!(ends.len(), 3, "{ends:?}");
    ends.insert("Rewind Recovered".to_owned());
    assert!(ends.is_subset(&heard), "{:?}", ends.difference(&heard));
}

/// A state that sends an event, and the kinds of it.
fn announced<'a>(machine: &'a Machine, state: &str) -> (&'a Value, BTreeSet<String>) {
    let (_, announce) = machine.states().find(|(name, _)| *name == state).unwrap();
    let kind = Regex::new("'(Rewind [A-Za-z ]+)'").unwrap();
    let expressions = Machine::expressions(announce).into_iter();
    (announce, expressions.flat_map(|text| kind.captures_iter(text).map(|found| found[1].to_owned())).collect())
}

#[test]
fn every_state_is_reached_and_every_way_leads_to_one() {
    for machine in Machine::all() {
        let names = set(machine.states().map(|(name, _)| name));
        let mut reached = set([machine.start()]);
        loop {
            let before = reached.len();
            let from = reached.clone();
            for (name, state) in machine.states().filter(|(name, _)| from.contains(*name)) {
                for (to, _) in Machine::ways(state) {
                    assert!(names.contains(to), "{name} leads to {to}, which is no state");
                    reached.insert(to.to_owned());
                }
            }
            // Machines have loops, so the search ends when a round finds nothing new.
            if reached.len() == before {
                break;
            }
        }
        assert_eq!(reached, names, "{}", machine.path);
    }
}

#[test]
fn a_machine_ends_in_few_states() {
    let failures = [("NeedsOperator", "Fail"), ("NothingChanged", "Fail")];
    for (machine, others) in [
        (
            Machine::rewind(),
            [&failures[..], &[("Planned", "Pass"), ("Recovered", "Succeed"), ("RolledBack", "Fail")]].concat(),
        ),
        (Machine::undo(), [&failures[..], &[("Undone", "Succeed")]].concat()),
        (Machine::clean_up(), vec![("CleanedUp", "Succeed"), ("NotCleanedUp", "Fail")]),
    ] {
        let ends = machine.states().filter(|(_, state)| Machine::ways(state).is_empty());
        let ends: BTreeMap<&str, &str> = ends.map(|(name, state)| (name, state["Type"].as_str().unwrap())).collect();
        // The names of the ends decide who is paged, so a new one has to be added here on purpose.
        assert_eq!(ends, others.into_iter().collect(), "{}", machine.path);
    }
}

#[test]
fn nothing_is_undone_and_nothing_fails_unless_something_failed() {
    let machine = Machine::rewind();
    let reached = machine.reached_without_a_failure();
    for name in &reached {
        let failing = [
            "Undo",
            "Conclude",
            "IsAnythingChanged",
            "IsSourceChanged",
            "NothingChanged",
            "RolledBack",
            "NeedsOperator",
        ];
        let failing = failing.iter().any(|start| name.starts_with(start)) || UNDOING.contains(name);
        assert!(!failing, "{name} is reached without a failure");
    }
    assert!(reached.contains("Recovered") && reached.contains("Planned"));
}

#[test]
fn a_bug_is_never_undone_automatically_and_a_failing_undo_calls_a_person() {
    for (name, state, _) in Machine::rewind().invocations().filter(|(name, ..)| !OPTIONAL.contains(name)) {
        let catches = state["Catch"].as_array().unwrap();
        // Nothing that fails there stops anything, and nothing is undone.
        if catches.iter().all(|catch| catch["Next"] == state["Next"] || catch["Next"] == "KeepRestored") {
            continue;
        }
        let undo = name.starts_with("Undo") || UNDOING.contains(&name);
        let bug =
            catches.iter().find(|c| texts(&c["ErrorEquals"]).iter().any(|e| e == "Bug" || (undo && e == "States.ALL")));
        // After a broken invariant the next automatic step rests on facts that are not known to be true.
        assert_eq!(bug.map(|c| &c["Next"]), Some(&Value::from("IsAnythingChanged")), "{name}");
        let kept = if undo { "undoFailure" } else { "failure" };
        // A catch that leads on as if the step had worked ends nothing: what it keeps is no failure.
        let ends = |catch: &&Value| catch["ErrorEquals"][0] != "States.Timeout" && catch["Next"] != state["Next"];
        for catch in catches.iter().filter(ends) {
            let assigned: Vec<&String> = catch["Assign"].as_object().unwrap().keys().collect();
            // Inside the outage, how long the function that failed may still run is kept beside it.
            let others = assigned.iter().filter(|variable| **variable != "stillRunning");
            assert_eq!(others.collect::<Vec<_>>(), [&kept], "{name}: the first failure is what is reported");
        }
    }
}

// --------------------------------------------------------------------------------------------------- the expressions

#[test]
fn every_variable_that_is_read_is_assigned_somewhere() {
    let used = Regex::new(r"\$([A-Za-z]\w*)\s*(\()?").unwrap();
    let local = Regex::new(r"\$(\w+)\s*:=|function\(\$(\w+)(?:, \$(\w+))?\)").unwrap();
    for machine in Machine::all() {
        let mut assigned = set(["states"]);
        for (_, state) in machine.states() {
            assigned.extend(Machine::assigns(state).into_iter().flat_map(|assign| assign.keys().cloned()));
        }
        for (name, state) in machine.states() {
            for expression in Machine::expressions(state) {
                // JSONata's own variables and parameters look like those of the state machine.
                let locals = set(local.captures_iter(expression).flat_map(|c| {
                    [1, 2, 3].map(|n| c.get(n)).into_iter().flatten().map(|m| m.as_str()).collect::<Vec<_>>()
                }));
                for found in used.captures_iter(expression).filter(|found| found.get(2).is_none()) {
                    let variable = &found[1];
                    assert!(
                        assigned.contains(variable) || locals.contains(variable),
                        "{name} reads ${variable}, which nothing sets"
                    );
                }
            }
        }
    }
}

#[test]
fn no_assignment_reads_a_variable_that_the_same_block_sets_before_it() {
    // AWS evaluates a block with the values from before it, the local interpreter one line after another.
    for machine in Machine::all() {
        let blocks = machine.assigns_as_written();
        assert!(blocks.len() > 2, "{}", machine.path);
        for (name, lines) in blocks {
            for (i, (variable, _)) in lines.iter().enumerate() {
                let read = Regex::new(&format!(r"\${variable}\b")).unwrap();
                for (later, value) in lines.iter().skip(i + 1) {
                    let stale = Machine::expressions(value).into_iter().any(|expression| read.is_match(expression));
                    assert!(!stale, "{name}: {later} reads ${variable}, which is set just before it");
                }
            }
        }
    }
}

#[test]
fn the_lease_lasts_as_long_as_the_page_adds_up() {
    let summed = Regex::new(r"\+ (\d+) \* 3600 \+").unwrap();
    let extended = Machine::rewind().state("ExtendLease").to_string();
    let hours = set(summed.captures_iter(&extended).map(|found| found[1].to_owned()));
    assert_eq!(hours.len(), 1, "the item and leaseUntil say {hours:?}");
    let page = files::read("docs/statemachine.md");
    let row = Regex::new(r"(?m)^\|[^|\n]+\| ([\d–]+)(?: × (\d+))?(?: h)? \| ([\d–]+)(?: × (\d+))?(?: h)? \|$").unwrap();
    let number = |text: Option<regex::Match<'_>>| text.map_or(1, |text| text.as_str().parse::<u64>().unwrap_or(0));
    let rows = row.captures_iter(&page).map(|row| [[1, 2], [3, 4]].map(|at| at.map(|at| number(row.get(at)))));
    let rows: Vec<[u64; 2]> = rows.map(|row| row.map(|[many, each]| many * each)).collect();
    let (together, parts) = rows.split_last().unwrap();
    assert!(parts.len() >= 7, "docs/statemachine.md has no sum as this test reads it: {rows:?}");
    assert_eq!([0, 1].map(|column| parts.iter().map(|row| row[column]).sum::<u64>()), *together);
    assert_eq!(together.iter().max().unwrap().to_string(), *hours.first().unwrap());
}

#[test]
fn the_definitions_keep_to_what_both_interpreters_do() {
    for machine in Machine::all() {
        assert_eq!(machine.definition()["QueryLanguage"], "JSONata");
        // A machine that times out as a whole is stopped where it is, with nothing undone.
        assert!(machine.definition().get("TimeoutSeconds").is_none());
        for (name, state) in machine.states() {
            let kind = state["Type"].as_str().unwrap();
            assert!(!["Parallel", "Map"].contains(&kind), "{name}: Assign on {kind} is ignored locally");
            assert!(
                kind != "Succeed" || state.get("Output").is_none(),
                "{name}: Output of a Succeed is ignored locally"
            );
            // A feature that is ignored locally would be untested, and first work on AWS.
            assert!(state.get("HeartbeatSeconds").is_none(), "{name}: HeartbeatSeconds is ignored locally");
            assert!(kind != "Choice" || name.starts_with("Is") || name.starts_with("Are"), "{name} is no question");
        }
    }
}

// --------------------------------------------------------------------------------------------------------- the events

#[test]
fn an_event_stops_nothing_and_is_documented_with_all_of_its_fields() {
    let page = files::read("docs/events.md");
    let machines = Machine::all();
    let announcing = machines.iter().flat_map(Machine::tasks).filter(|(_, state)| state["Resource"] == PUT_EVENTS);
    let field = Regex::new(r"'(\w+)': ").unwrap();
    let quoted = Regex::new(r"Rewind [A-Z][A-Za-z ]+").unwrap();
    let mut sent = BTreeSet::new();
    for (name, state) in announcing {
        let catch = state["Catch"].as_array().unwrap();
        // A recovery must not fail because EventBridge is down. An opening that nobody hears of is none: it is closed again.
        let stops_nothing = catch.len() == 1 && catch[0]["Next"] == state["Next"];
        assert!(stops_nothing || name == "AnnounceOpened", "{name}: an event that fails changes the way");
        for entry in state["Arguments"]["Entries"].as_array().unwrap() {
            assert_eq!(entry["Source"], "aurora-rewind", "{name}");
            assert_eq!(entry["EventBusName"], "${EventBusName}", "{name}: an event where others may put the same");
            sent.extend(quoted.find_iter(entry["DetailType"].as_str().unwrap()).map(|found| found.as_str().to_owned()));
            for named in field.captures_iter(entry["Detail"].as_str().unwrap()) {
                assert!(
                    page.contains(&format!("`{}`", &named[1])),
                    "{name} says {}, which no page tells of",
                    &named[1]
                );
            }
        }
    }
    let heading = Regex::new(r"(?m)^\| `(Rewind [^`]+)` \|").unwrap();
    let documented = set(heading.captures_iter(&page).map(|found| found[1].to_owned()));
    assert_eq!(sent, documented, "events (left) against docs/events.md (right)");
}

/// EventBridge leaves out the value of a field that is not there, and what remains is no JSON: nobody gets that message.
#[test]
fn a_message_names_only_fields_that_every_event_has_of_which_it_is_made() {
    let machines = Machine::all();
    let sent: Vec<(&str, &str, &str)> = machines
        .iter()
        .flat_map(Machine::tasks)
        .filter(|(_, state)| state["Resource"] == PUT_EVENTS)
        .flat_map(|(name, state)| {
            state["Arguments"]["Entries"].as_array().unwrap().iter().map(move |entry| (name, entry))
        })
        .map(|(name, entry)| (name, entry["DetailType"].as_str().unwrap(), entry["Detail"].as_str().unwrap()))
        .collect();
    let template = Template::read();
    let mut read = BTreeSet::new();
    let rules = template.section("Resources").filter(|(_, resource)| resource["Type"] == "AWS::Events::Rule");
    // One that a schedule starts hears none, and one that copies all to another bus makes no message.
    for (name, rule) in rules.filter(|(_, rule)| rule["Properties"]["EventPattern"]["detail-type"].is_array()) {
        let heard = texts(&rule["Properties"]["EventPattern"]["detail-type"]);
        for target in rule["Properties"]["Targets"].as_array().unwrap() {
            let paths = target["InputTransformer"]["InputPathsMap"].as_object().into_iter().flatten();
            for field in paths.filter_map(|(_, path)| path.as_str().unwrap().strip_prefix("$.detail.")) {
                for (state, _, detail) in
                    sent.iter().filter(|(_, kind, _)| heard.iter().any(|heard| kind.contains(heard)))
                {
                    assert!(
                        detail.contains(&format!("'{field}': ")),
                        "{name} reads {field}, which {state} does not send"
                    );
                    read.insert(field.to_owned());
                }
            }
        }
    }
    assert!(read.contains("outage"), "{read:?}");
}

// -------------------------------------------------------------------------------------------------- the documentation

#[test]
fn the_environment_in_the_documentation_is_the_templates() {
    let steps = files::read("docs/steps.md");
    let row = Regex::new(r"(?m)^\| ((?:`[A-Z_]+`(?:, )?)+) \| .* \| ([a-z, -]+) \|$").unwrap();
    let rows: BTreeMap<String, BTreeSet<String>> = row
        .captures_iter(&steps)
        .flat_map(|row| {
            let functions = set(row[2].split(", "));
            let names: Vec<String> = row[1].split(", ").map(|name| name.trim_matches('`').to_owned()).collect();
            names.into_iter().map(move |name| (name, functions.clone()))
        })
        .collect();
    let template = Template::read();
    let mut given: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for function in Function::all() {
        let resource = template.resource(&format!("{}Function", function.name));
        for variable in resource["Environment"]["Variables"].as_object().into_iter().flat_map(|all| all.keys()) {
            given.entry(variable.clone()).or_default().insert(function.stem.clone());
        }
    }
    assert!(given.len() >= 3);
    for (variable, functions) in given {
        assert_eq!(
            rows.get(&variable),
            Some(&functions),
            "{variable} in docs/steps.md (left) against the template (right)"
        );
    }
}

/// Without them a function takes the deployment for one whose fence has no network layer.
#[test]
fn every_function_that_reads_the_groups_of_the_fence_is_given_them() {
    let template = Template::read();
    let variable = "REWIND_FENCE_SECURITY_GROUP_IDS";
    let reads =
        |function: &Function| ["fence_groups_from_env()", variable].iter().any(|read| function.source.contains(read));
    let readers: Vec<Function> = Function::all().into_iter().filter(reads).collect();
    assert!(readers.iter().any(|function| function.stem == "finish"), "no reader is found");
    for function in readers {
        let resource = template.resource(&format!("{}Function", function.name));
        assert!(
            resource["Environment"]["Variables"].get(variable).is_some(),
            "{} is not given {variable}",
            function.name
        );
    }
}

#[test]
fn every_function_and_payload_is_in_the_contract() {
    let steps = files::read("docs/steps.md");
    let machines = Machine::all();
    for (name, state, function) in machines.iter().flat_map(Machine::invocations) {
        let stem = Function::all().into_iter().find(|f| f.name == function).unwrap().stem;
        let row = steps
            .lines()
            .find(|line| line.starts_with(&format!("| {stem} |")))
            .unwrap_or_else(|| panic!("no row of {stem}"));
        let payload = state["Arguments"]["Payload"].as_object().unwrap();
        for field in payload.keys().filter(|field| !["recovery", "plan", "direction"].contains(&field.as_str())) {
            // What only an undo is passed stands in no column of its own.
            assert!(row.contains(&format!("`{field}`")), "{name} passes {field}, which docs/steps.md does not tell of");
        }
    }
}

#[test]
fn every_example_is_a_request() {
    let mut names = files::names_in("statemachine/inputs");
    names.retain(|name| name != "README.md");
    assert!(names.len() >= 5);
    for name in names {
        let input: Value = serde_json::from_str(&files::read(format!("statemachine/inputs/{name}"))).unwrap();
        // People copy the examples, so they must be requests that are accepted.
        rewind_core::Request::check(&input).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}

// ------------------------------------------------------------------------------------------------------------ the time

#[test]
fn one_place_alone_asks_the_operating_system_for_the_time() {
    // clippy.toml bans it everywhere; this finds who lifts the ban.
    // In two parts, so that this file does not find itself.
    let lifted = concat!("clippy::", "disallowed_methods");
    let mut folders: Vec<_> =
        ["cli", "crates", "functions", "local", "tests"].iter().map(|name| files::root().join(name)).collect();
    let mut who = Vec::new();
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") && files::read(&path).contains(lifted) {
                who.push(path.strip_prefix(files::root()).unwrap().display().to_string());
            }
        }
    }
    assert_eq!(who, ["crates/rewind-clock/src/lib.rs"]);
}

#[test]
fn every_payload_field_is_one_that_its_function_reads() {
    // A name that serde does not know is skipped, and a field with a default is then silently empty.
    let machines = Machine::all();
    let mut read = 0;
    for (name, state, function) in machines.iter().flat_map(Machine::invocations) {
        let stem = Function::all().into_iter().find(|f| f.name == function).unwrap().stem;
        let known = payload_fields(&format!("functions/{stem}/src/lib.rs"), "Input");
        for field in state["Arguments"]["Payload"].as_object().unwrap().keys() {
            // The direction is read by rewind-lambda, and who asks for records only says so in the log.
            let is_read_elsewhere = field == "direction" || (stem == "find-records" && field == "executionArn");
            assert!(is_read_elsewhere || known.contains(field), "{name} passes {field}; {stem} reads {known:?}");
            read += 1;
        }
    }
    assert!(read > 50, "{read} fields");
}

/// The names by which serde reads the type `name` of a file.
fn payload_fields(path: &str, name: &str) -> BTreeSet<String> {
    let file = syn::parse_file(&files::read(path)).expect("it compiles");
    let mut fields = BTreeSet::new();
    for item in file.items {
        match item {
            syn::Item::Struct(item) if item.ident == name => {
                let camel = serde_words(&item.attrs).iter().any(|word| word == "camelCase");
                for field in item.fields {
                    let words = serde_words(&field.attrs);
                    let ident = field.ident.expect("a payload has names").to_string();
                    let flattened = words.iter().any(|word| word == "flatten").then(|| type_name(&field.ty));
                    match flattened.as_deref() {
                        Some("Proposal") => {
                            fields.extend(payload_fields("crates/rewind-core/src/proposal.rs", "Proposal"))
                        }
                        Some(other) => fields.extend(payload_fields(path, other)),
                        None => {
                            let renamed =
                                words.iter().position(|word| word == "rename").and_then(|at| words.get(at + 1));
                            fields.insert(renamed.cloned().unwrap_or(if camel { camel_case(&ident) } else { ident }));
                        }
                    }
                }
            }
            // An enum is tagged, and each of its variants is a struct of the same file.
            syn::Item::Enum(item) if item.ident == name => {
                let words = serde_words(&item.attrs);
                fields.extend(words.iter().position(|word| word == "tag").and_then(|at| words.get(at + 1)).cloned());
                for field in item.variants.iter().flat_map(|variant| &variant.fields) {
                    match &field.ident {
                        Some(ident) => _ = fields.insert(camel_case(&ident.to_string())),
                        None => fields.extend(payload_fields(path, &type_name(&field.ty))),
                    }
                }
            }
            _ => {}
        }
    }
    assert!(!fields.is_empty(), "{path} has no {name} that this test can read");
    fields
}

/// An attribute that a state does not ask the table for is missing in the answer, and then reads as if nobody had ever written it.
#[test]
fn a_state_asks_the_table_for_every_attribute_that_it_reads() {
    let read = Regex::new(r"(?:Item|\$item)\.(\w+)").unwrap();
    let mut projections = 0;
    for machine in Machine::all() {
        for (name, state) in machine.tasks() {
            let Some(projection) = state["Arguments"]["ProjectionExpression"].as_str() else { continue };
            projections += 1;
            let names = &state["Arguments"]["ExpressionAttributeNames"];
            let asked: BTreeSet<&str> =
                projection.split(", ").map(|asked| names[asked].as_str().unwrap_or(asked)).collect();
            let expressions = Machine::expressions(state);
            let reads = expressions.iter().flat_map(|expression| read.captures_iter(expression));
            let missing: BTreeSet<&str> = reads
                .filter_map(|found| found.get(1))
                .map(|found| found.as_str())
                .filter(|read| !asked.contains(read))
                .collect();
            assert!(missing.is_empty(), "{name} of {} reads {missing:?}, which it does not ask for", machine.path);
        }
    }
    assert!(projections >= 4);
}

/// The words and strings in the serde attributes of an item.
fn serde_words(attributes: &[syn::Attribute]) -> Vec<String> {
    let word = Regex::new(r"\w+").unwrap();
    let serde = attributes.iter().filter(|attribute| attribute.path().is_ident("serde"));
    let tokens = serde.filter_map(|attribute| attribute.meta.require_list().ok()).map(|list| list.tokens.to_string());
    tokens.flat_map(|tokens| word.find_iter(&tokens).map(|w| w.as_str().to_owned()).collect::<Vec<_>>()).collect()
}

fn type_name(of: &syn::Type) -> String {
    let syn::Type::Path(path) = of else { panic!("a payload has named types") };
    let last = path.path.segments.last().unwrap();
    match &last.arguments {
        // Box<T>, the only generic type of a variant.
        syn::PathArguments::AngleBracketed(inner) if last.ident == "Box" => match inner.args.first() {
            Some(syn::GenericArgument::Type(of)) => type_name(of),
            _ => panic!("a Box has a type"),
        },
        _ => last.ident.to_string(),
    }
}

fn camel_case(snake: &str) -> String {
    let mut words = snake.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| name + &word[..1].to_uppercase() + &word[1..])
}
