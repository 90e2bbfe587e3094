//! The words of the declaration: a state is made by one of the first functions and completed by the others, in the
//! order in which a reader asks: what it is for, what it is called with, how long it may take, what is kept, and
//! where it leads.

use super::{Assign, Bound, Catcher, Choice, Kind, Recoveries, Situation, State};
use crate::json::{Json, jsonata, object};
use crate::retry::{ANY, BUGS, Retries, WaitsOut};
use crate::timeouts;
use rewind_core::ErrorName;

/// The answer of the function that a state invokes.
pub(crate) const ANSWER: &str = "$states.result.Payload";
/// The failure of a state: error, cause, state, and number of retries. An error without a cause gets an empty one:
/// later expressions read both.
const FAILURE: &str = "$merge([{'Error': 'Unknown', 'Cause': ''}, $states.errorOutput, \
    {'state': $states.context.State.Name, 'retries': $states.context.State.RetryCount}])";

impl State {
    fn new(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            stage: "",
            kind,
            recoveries: Recoveries::Any,
            progress: None,
            situation: None,
            bounds: Vec::new(),
            retries: Retries::None,
            waits_out: WaitsOut::Minutes,
            choices: Vec::new(),
            catchers: Vec::new(),
            assign: Vec::new(),
            comment: None,
            resource: None,
            function: None,
            payload: Vec::new(),
            arguments: Vec::new(),
            timeout: None,
            seconds: None,
            output: None,
            error: None,
            next: None,
        }
    }

    /// A state that invokes the function of its own name, and keeps when it was done.
    pub(crate) fn step(name: &'static str) -> Self {
        Self::invoke(name).assign("timings", jsonata("$merge([$timings, {$states.context.State.Name: $now()}])"))
    }

    /// A state that invokes the function of its own name.
    pub(crate) fn invoke(name: &'static str) -> Self {
        let mut state = Self::new(name, Kind::Task);
        state.function = Some(name);
        state.resource = Some("lambda:invoke".to_owned());
        state.retries = Retries::Function;
        state
    }

    /// A state that undoes what `function` did.
    pub(crate) fn undo(name: &'static str, function: &'static str) -> Self {
        Self::step(name).function(function).input_text("direction", "undo").inputs(["recovery", "plan"])
    }

    /// A state that invokes await-rewind: it answers whether `awaiting` is over by now, and the question after it
    /// asks again.
    pub(crate) fn waiting(name: &'static str) -> Self {
        Self::step(name)
            .function("AwaitRewind")
            .inputs(["recovery", "plan", "awaiting"])
            .timeout(timeouts::AWAIT_REWIND)
            .keep("rewind")
    }

    /// A state that writes or reads an item of the table. `action` is one of `putItem`, `getItem`, `updateItem`,
    /// `deleteItem`.
    pub(crate) fn table(name: &'static str, action: &'static str) -> Self {
        let mut state = Self::new(name, Kind::Task).argument("TableName", "${TableName}".into()).timeout(15);
        state.resource = Some(format!("dynamodb:{action}"));
        state.retries = Retries::Table;
        state
    }

    /// Waits out half an hour in which the table is away: people and the undo go on from what it writes, and clients have a database.
    pub(crate) fn waits_half_an_hour(mut self) -> Self {
        self.retries = Retries::PatientTable;
        self
    }

    /// A state that puts events: each of a detail type, and the expression of its detail.
    pub(crate) fn announce(name: &'static str, events: &[(Json, &str)]) -> Self {
        let entries = events.iter().map(|(detail_type, detail)| {
            object([
                // Not the default bus: whatever may put events there could speak as the product.
                ("EventBusName", "${EventBusName}".into()),
                ("Source", "aurora-rewind".into()),
                ("DetailType", detail_type.clone()),
                ("Detail", jsonata(detail)),
            ])
        });
        let mut state = Self::new(name, Kind::Task).argument("Entries", Json::List(entries.collect())).timeout(10);
        state.resource = Some("events:putEvents".to_owned());
        state.retries = Retries::Notice;
        state
    }

    /// A state that starts an execution of another machine, and does not wait for it.
    pub(crate) fn start_execution(name: &'static str, machine: &str, execution: &str, input: Json) -> Self {
        let mut state = Self::new(name, Kind::Task)
            .argument("StateMachineArn", machine.into())
            .argument("Name", jsonata(execution))
            .argument("Input", input)
            .timeout(10);
        state.resource = Some("states:startExecution".to_owned());
        state.retries = Retries::Notice;
        state
    }

    /// A state that asks Step Functions how an execution stands. `arn` is an expression.
    pub(crate) fn describe_execution(name: &'static str, arn: &str) -> Self {
        let mut state = Self::new(name, Kind::Task).argument("ExecutionArn", jsonata(arn)).timeout(10);
        state.resource = Some("aws-sdk:sfn:describeExecution".to_owned());
        state.retries = Retries::Notice;
        state
    }

    /// A state that ends an execution. `arn` and `cause` are expressions.
    pub(crate) fn stop_execution(name: &'static str, arn: &str, error: &str, cause: &str) -> Self {
        let mut state = Self::new(name, Kind::Task)
            .argument("ExecutionArn", jsonata(arn))
            .argument("Error", error.into())
            .argument("Cause", jsonata(cause))
            .timeout(10);
        state.resource = Some("aws-sdk:sfn:stopExecution".to_owned());
        state.retries = Retries::Notice;
        state
    }

    /// A state that calls a service by its own name for the call, such as `ec2:authorizeSecurityGroupIngress`.
    pub(crate) fn sdk(name: &'static str, call: &str) -> Self {
        let mut state = Self::new(name, Kind::Task).timeout(15);
        state.resource = Some(format!("aws-sdk:{call}"));
        state.retries = Retries::Notice;
        state
    }

    /// A state that sends a message to the topic.
    pub(crate) fn publish(name: &'static str) -> Self {
        let mut state = Self::new(name, Kind::Task).argument("TopicArn", "${TopicArn}".into()).timeout(10);
        state.resource = Some("sns:publish".to_owned());
        state.retries = Retries::Notice;
        state
    }

    /// A question.
    pub(crate) fn choice(name: &'static str) -> Self {
        Self::new(name, Kind::Choice)
    }

    /// A state that only gives variables a value.
    pub(crate) fn pass(name: &'static str) -> Self {
        Self::new(name, Kind::Pass)
    }

    /// A state that waits for as many seconds as `seconds` says.
    pub(crate) fn wait(name: &'static str, seconds: &str) -> Self {
        let mut state = Self::new(name, Kind::Wait);
        state.seconds = Some(jsonata(seconds));
        state
    }

    /// An end that is a success.
    pub(crate) fn succeed(name: &'static str) -> Self {
        Self::new(name, Kind::Succeed)
    }

    /// An end that is a failure, with an error and a cause from the variable `from`.
    pub(crate) fn fail(name: &'static str, error: &str, cause: &str) -> Self {
        let mut state = Self::new(name, Kind::Fail);
        state.error = Some((jsonata(error), jsonata(cause)));
        state
    }

    /// Says why the state is there. It stands in the definition and in the picture's table.
    pub(crate) fn comment(mut self, comment: impl Into<String>) -> Self {
        self.comment = Some(comment.into());
        self
    }

    /// The sentence that people read while the state is being worked on: a verb and what it is done to.
    pub(crate) fn progress(mut self, progress: &'static str) -> Self {
        self.progress = Some(progress);
        self
    }

    /// The recoveries that can come here, where not all can.
    pub(crate) fn only(mut self, recoveries: Recoveries) -> Self {
        self.recoveries = recoveries;
        self
    }

    /// How things stand when this step ends in a bug, of a recovery beside the source.
    pub(crate) fn situation(mut self, situation: Situation) -> Self {
        self.situation = Some(situation);
        self
    }

    /// Waits out for an hour what passes by itself: giving up earlier would lose what took hours, or leave clients
    /// locked out.
    pub(crate) fn waits_an_hour(mut self) -> Self {
        self.waits_out = WaitsOut::Hour;
        self
    }

    /// The stage of the machine to which the state belongs.
    pub(crate) fn of_stage(mut self, stage: &'static str) -> Self {
        self.stage = stage;
        self
    }

    /// The function that is invoked, where it is not of the state's name.
    pub(crate) fn function(mut self, stem: &'static str) -> Self {
        self.function = Some(stem);
        self
    }

    /// Passes these variables to the function, under their own names.
    pub(crate) fn inputs<const N: usize>(self, names: [&str; N]) -> Self {
        names.into_iter().fold(self, |state, name| state.input_as(name, &format!("${name}")))
    }

    /// Passes what `expression` yields to the function.
    pub(crate) fn input_as(self, name: &str, expression: &str) -> Self {
        self.input_value(name, jsonata(expression))
    }

    /// Passes `text` to the function.
    pub(crate) fn input_text(self, name: &str, text: &str) -> Self {
        self.input_value(name, text.into())
    }

    fn input_value(mut self, name: &str, value: Json) -> Self {
        self.payload.push((name.to_owned(), value));
        self
    }

    pub(crate) fn argument(mut self, name: &str, value: Json) -> Self {
        self.arguments.push((name.to_owned(), value));
        self
    }

    /// The state is given up after so many seconds: more than its function may run.
    pub(crate) fn timeout(mut self, seconds: u64) -> Self {
        self.timeout = Some(Json::Number(seconds));
        self
    }

    /// The state is given up after as many seconds as `expression` yields.
    pub(crate) fn timeout_by(mut self, expression: &str) -> Self {
        self.timeout = Some(jsonata(expression));
        self
    }

    /// Waits for a person who answers with the task token.
    pub(crate) fn wait_for_task_token(mut self) -> Self {
        self.resource = Some("lambda:invoke.waitForTaskToken".to_owned());
        self.retries = Retries::Slice;
        self
    }

    /// Keeps the function's answer in `variable`.
    pub(crate) fn keep(self, variable: &str) -> Self {
        self.keep_as(variable, ANSWER)
    }

    /// Keeps what `expression` yields in `variable`.
    pub(crate) fn keep_as(self, variable: &str, expression: &str) -> Self {
        self.assign(variable, jsonata(expression))
    }

    /// Gives `variable` this value. What is kept comes before the time at which it was.
    pub(crate) fn assign(mut self, variable: &str, value: Json) -> Self {
        // An Assign reads the variables as they were before the state, so the order is for readers alone.
        let at = self.assign.iter().position(|(name, _)| name == "timings" && self.function.is_some());
        self.assign.insert(at.unwrap_or(self.assign.len()), (variable.to_owned(), value));
        self
    }

    /// The recovery goes on without what the function does, and waits for nothing that lasts.
    pub(crate) fn optional(mut self) -> Self {
        self.retries = Retries::Optional;
        self
    }

    /// Adds what the function undid to what people are told in the end.
    pub(crate) fn keeps_what_was_undone(self) -> Self {
        self.keep_as("undone", "$append($undone, $states.result.Payload.what)")
    }

    /// Keeps when this was done under another name than the state's.
    pub(crate) fn timed_as(mut self, expression: &str) -> Self {
        self.assign.retain(|(name, _)| name != "timings");
        self.assign.push(("timings".to_owned(), jsonata(format!("$merge([$timings, {{({expression}): $now()}}])"))));
        self
    }

    /// Begins to wait for `what`: the next `waiting` state asks after it.
    pub(crate) fn starts_waiting_for(self, what: &str) -> Self {
        self.assign("awaiting", object([("what", what.into()), ("since", jsonata("$now()"))]))
    }

    /// The same, for something that has an identifier.
    pub(crate) fn starts_waiting_for_one(self, what: &str, identifier: &str) -> Self {
        let fields = [("what", what.into()), ("identifier", jsonata(identifier)), ("since", jsonata("$now()"))];
        self.assign("awaiting", object(fields))
    }

    /// The state yields what `expression` yields, and not what was called answered.
    pub(crate) fn output(mut self, output: Json) -> Self {
        self.output = Some(output);
        self
    }

    /// Leads to `next` if `condition` holds.
    pub(crate) fn when(self, condition: &str, next: &'static str) -> Self {
        self.when_with(condition, Vec::new(), next)
    }

    /// The same, and variables get a value on the way.
    pub(crate) fn when_with(mut self, condition: &str, assign: Assign, next: &'static str) -> Self {
        self.choices.push(Choice { condition: condition.to_owned(), assign, next });
        self
    }

    /// So many seconds after the wait began, the recovery fails. The lease is reckoned with it.
    pub(crate) fn gives_up_after(self, seconds: u64, assign: Assign, next: &'static str) -> Self {
        let condition = format!("$millis() - $toMillis($awaiting.since) > {} * 3600 * 1000", seconds / hours(1));
        let recoveries = self.recoveries;
        self.bounded(seconds, recoveries).when_with(&condition, assign, next)
    }

    /// The loop that this question ends goes on for so many seconds at most, by a condition of its own.
    pub(crate) fn bounded(mut self, seconds: u64, recoveries: Recoveries) -> Self {
        self.bounds.push(Bound { seconds, recoveries });
        self
    }

    /// The next state: where no condition holds, in a choice.
    pub(crate) fn next(mut self, next: &'static str) -> Self {
        self.next = Some(next);
        self
    }

    /// An error of these names leads to `next`, and variables get a value on the way.
    pub(crate) fn catch(mut self, errors: &[&'static str], assign: Assign, next: &'static str) -> Self {
        self.catchers.push(Catcher { errors: errors.to_vec(), assign, output: None, next });
        self
    }

    /// Nothing that fails here stops anything.
    pub(crate) fn tolerated(self) -> Self {
        let next = self.next.unwrap_or_default();
        self.catch(&ANY, Vec::new(), next)
    }

    /// Nothing that fails here stops anything, and the execution yields `output` all the same.
    pub(crate) fn tolerated_with_output(mut self) -> Self {
        let (output, next) = (self.output.clone(), self.next.unwrap_or_default());
        self.catchers.push(Catcher { errors: ANY.to_vec(), assign: Vec::new(), output, next });
        self
    }

    /// A failure of these names is kept in `failure`, and leads to `next`.
    pub(crate) fn fails_by(self, errors: &[&'static str], next: &'static str) -> Self {
        self.catch(errors, failure("failure"), next)
    }

    /// A failure is kept in `variable` and stops nothing: what people are told in the end reads it there.
    pub(crate) fn tolerated_as(self, variable: &str) -> Self {
        let next = self.next.unwrap_or_default();
        self.catch(&ANY, failure(variable), next)
    }

    /// A failure is kept in `failure`, and leads to `next`: to the undo of whatever this step may have done.
    pub(crate) fn fails_to(self, next: &'static str) -> Self {
        self.catch(&ANY, failure("failure"), next)
    }

    /// A failure is kept in `variable`, others get a value on the way, and it leads to `next`.
    pub(crate) fn fails_with(self, variable: &str, mut assign: Assign, next: &'static str) -> Self {
        assign.splice(0..0, failure(variable));
        self.catch(&ANY, assign, next)
    }

    /// Leads a failure to `next`, from where on this step and those before it are undone. A bug undoes nothing:
    /// nobody knows what it did.
    pub(crate) fn undone_from(self, next: &'static str) -> Self {
        self.bugs_to("IsAnythingChanged").fails_to(next)
    }

    /// The same for bugs alone, of which nobody knows what they did.
    pub(crate) fn bugs_to(self, next: &'static str) -> Self {
        self.catch(&BUGS, failure("failure"), next)
    }

    /// An undo that fails by a bug is kept beside the failure that it was to undo, and a person is called.
    pub(crate) fn undo_bugs_to(self, next: &'static str) -> Self {
        self.catch(&BUGS, failure("undoFailure"), next)
    }

    /// An undo that fails is kept beside the failure that it was to undo.
    pub(crate) fn undo_fails_to(self, next: &'static str) -> Self {
        self.catch(&ANY, failure("undoFailure"), next)
    }
}

/// The failure of this state, kept in `variable`.
fn failure(variable: &str) -> Assign {
    vec![(variable.to_owned(), jsonata(FAILURE))]
}

/// A failure that the machine itself finds, kept in `variable`. `cause` is an expression.
pub(crate) fn found(variable: &str, error: ErrorName, state: &str, cause: &str) -> Assign {
    vec![set_to(variable, failure_of(error, state, jsonata(cause)))]
}

/// A failure that is no error of a call: it has the fields that later expressions read of every failure.
pub(crate) fn failure_of(error: ErrorName, state: &str, cause: Json) -> Json {
    object([("Error", error.as_str().into()), ("state", state.into()), ("Cause", cause)])
}

/// A variable that gets what `expression` yields.
pub(crate) fn set(variable: &str, expression: &str) -> (String, Json) {
    (variable.to_owned(), jsonata(expression))
}

/// A variable that gets this value.
pub(crate) fn set_to(variable: &str, value: Json) -> (String, Json) {
    (variable.to_owned(), value)
}

/// Hours in seconds.
pub(crate) const fn hours(hours: u64) -> u64 {
    hours * 3600
}

/// An attribute of an item that is a string.
pub(crate) fn text(expression: &str) -> Json {
    object([("S", jsonata(expression))])
}

/// A text of an item, or what `otherwise` yields, as an expression.
pub(crate) fn of_item(name: &str, otherwise: &str) -> String {
    format!("$exists($states.result.Item.{name}.S) ? $states.result.Item.{name}.S : {otherwise}")
}

/// An attribute of an item that is a number.
pub(crate) fn number(expression: &str) -> Json {
    object([("N", jsonata(expression))])
}

/// The detail of an event of a recovery: which recovery it is, and `fields`.
pub(crate) fn of_recovery(fields: &str) -> String {
    format!("{{'recoveryId': $recovery.id, 'executionArn': $recovery.executionArn, {fields}}}")
}

/// A bug that the machine itself finds. `cause` is a sentence.
pub(crate) fn bug(variable: &str, state: &str, cause: &str) -> Assign {
    vec![set_to(variable, failure_of(ErrorName::Bug, state, cause.into()))]
}
