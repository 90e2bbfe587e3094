//! A state: all that is declared of it, and how it is written into a definition.

mod build;

pub(crate) use build::{bug, failure_of, found, hours, number, of_item, of_recovery, set, set_to, text};

use crate::json::{Json, jsonata};
use crate::retry::{Retries, WaitsOut};

/// The recoveries that can come to a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recoveries {
    /// Both strategies.
    Any,
    /// Those that restore into a new cluster.
    Restore,
    /// Those in place.
    Backtrack,
}

impl Recoveries {
    /// True if some recoveries are among both.
    pub(crate) fn meet(self, others: Self) -> bool {
        self == others || self == Self::Any || others == Self::Any
    }
}

/// How far a recovery beside the source has come when a step of it ends in a bug: whoever has to look is told so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Situation {
    /// The restored cluster may exist.
    ClusterMayExist,
    /// The restored cluster exists, and its instances may.
    InstancesMayExist,
    /// Both exist, and the source may be fenced.
    SourceMayBeFenced,
    /// Both exist, the source is fenced, and records may have moved.
    RecordsMayHaveMoved,
}

/// The kind of a state, by the name that Amazon States Language has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Gives variables a value.
    Pass,
    /// Calls a function or a service.
    Task,
    /// Asks a question.
    Choice,
    /// Lets time pass.
    Wait,
    /// An end that is a success.
    Succeed,
    /// An end that is a failure.
    Fail,
}

/// One state of a machine.
#[derive(Debug, Clone)]
pub struct State {
    pub(crate) name: &'static str,
    pub(crate) stage: &'static str,
    pub(crate) kind: Kind,
    pub(crate) recoveries: Recoveries,
    pub(crate) progress: Option<&'static str>,
    pub(crate) situation: Option<Situation>,
    pub(crate) bounds: Vec<Bound>,
    pub(crate) retries: Retries,
    pub(crate) waits_out: WaitsOut,
    pub(crate) choices: Vec<Choice>,
    pub(crate) catchers: Vec<Catcher>,
    pub(crate) assign: Assign,
    comment: Option<String>,
    resource: Option<String>,
    pub(crate) function: Option<&'static str>,
    pub(crate) payload: Vec<(String, Json)>,
    arguments: Vec<(String, Json)>,
    timeout: Option<Json>,
    pub(crate) seconds: Option<Json>,
    output: Option<Json>,
    error: Option<(Json, Json)>,
    pub(crate) next: Option<&'static str>,
}

/// How long a loop goes on at most, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bound {
    pub(crate) seconds: u64,
    pub(crate) recoveries: Recoveries,
}

/// The assignments of a state, in order: a later line does not see an earlier one.
pub(crate) type Assign = Vec<(String, Json)>;

/// One answer to a question.
#[derive(Debug, Clone)]
pub struct Choice {
    condition: String,
    pub(crate) assign: Assign,
    pub(crate) next: &'static str,
}

/// The way on from errors.
#[derive(Debug, Clone)]
pub struct Catcher {
    errors: Vec<&'static str>,
    pub(crate) assign: Assign,
    output: Option<Json>,
    pub(crate) next: &'static str,
}

impl State {
    /// The state as the definition has it.
    pub(crate) fn to_json(&self) -> Json {
        let mut fields: Vec<(String, Json)> = Vec::new();
        let mut put = |name: &str, value: Option<Json>| fields.extend(value.map(|value| (name.to_owned(), value)));
        put("Type", Some(format!("{:?}", self.kind).into()));
        put("Comment", self.comment.clone().map(Json::Text));
        put("Resource", self.resource().map(Json::Text));
        put("Arguments", self.arguments());
        put("TimeoutSeconds", self.timeout.clone());
        put("Seconds", self.seconds.clone());
        if let Some((error, cause)) = &self.error {
            put("Error", Some(error.clone()));
            put("Cause", Some(cause.clone()));
        }
        put("Assign", assigned(&self.assign));
        put("Output", self.output.clone());
        put("Choices", list(&self.choices, Choice::to_json));
        put("Retry", self.retries.to_json(self.waits_out));
        // AWS takes the first catcher that matches: the one for everything has to be the last.
        put("Catch", list(&self.catchers, Catcher::to_json));
        // A Choice has no Next, and ends in a failure of the machine where no condition holds and no Default is
        // given.
        let after = if self.kind == Kind::Choice { "Default" } else { "Next" };
        put(after, self.next.map(Json::from));
        put("End", (self.next.is_none() && matches!(self.kind, Kind::Pass | Kind::Task)).then_some(Json::Bool(true)));
        Json::Object(fields)
    }

    /// The service integration, without what all of them begin with.
    pub(crate) fn integration(&self) -> Option<&str> {
        self.resource.as_deref()
    }

    fn resource(&self) -> Option<String> {
        // The partition is the template's: aws, aws-cn or aws-us-gov.
        self.integration().map(|integration| format!("arn:${{Partition}}:states:::{integration}"))
    }

    fn arguments(&self) -> Option<Json> {
        let mut arguments = self.arguments.clone();
        if let Some(function) = self.function {
            arguments.push(("FunctionName".to_owned(), format!("${{{function}FunctionArn}}").into()));
            arguments.push(("Payload".to_owned(), Json::Object(self.payload.clone())));
        }
        (!arguments.is_empty()).then_some(Json::Object(arguments))
    }

    /// The comment, empty where there is none.
    pub(crate) fn commented(&self) -> &str {
        self.comment.as_deref().unwrap_or_default()
    }
}

impl Choice {
    fn to_json(&self) -> Json {
        let mut fields = vec![("Condition".to_owned(), jsonata(&self.condition))];
        fields.extend(assigned(&self.assign).map(|assign| ("Assign".to_owned(), assign)));
        fields.push(("Next".to_owned(), self.next.into()));
        Json::Object(fields)
    }
}

impl Catcher {
    fn to_json(&self) -> Json {
        let errors = self.errors.iter().map(|name| Json::from(*name)).collect();
        let mut fields = vec![("ErrorEquals".to_owned(), Json::List(errors))];
        fields.extend(assigned(&self.assign).map(|assign| ("Assign".to_owned(), assign)));
        fields.extend(self.output.clone().map(|output| ("Output".to_owned(), output)));
        fields.push(("Next".to_owned(), self.next.into()));
        Json::Object(fields)
    }
}

/// `None` for an empty list: Amazon States Language refuses an empty `Choices`, `Retry` or `Catch`.
fn list<T>(items: &[T], to_json: impl Fn(&T) -> Json) -> Option<Json> {
    (!items.is_empty()).then(|| Json::List(items.iter().map(to_json).collect()))
}

fn assigned(assign: &Assign) -> Option<Json> {
    (!assign.is_empty()).then(|| Json::Object(assign.clone()))
}
