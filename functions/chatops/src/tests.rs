//! The function over AWS and Slack in memory: which requests are accepted, who may do what, and what is started.

use crate::access::{ACCESS_DENIED, APPROVAL_DENIED, AccessPolicy, ChatUser, SELF_APPROVAL_DENIED, UNASKED_DENIED};
use crate::app::ChatApp;
use crate::button::{self, Pressed, PressedButton};
use crate::http::FOREIGN_BUTTON;
use crate::messages::console_url;
use crate::ports::Ports;
use crate::secret::AppSecret;
use crate::settings::Settings;
use crate::signature::sign;
use crate::slack_client::SlackClient;
use crate::task::{DeferredTask, SignedTask, Task};
use rewind_aws::AwsResult;
use rewind_aws::chat::{ActKind, ChatAct, ChatRecords, InvokeAsync, ReadActs, ReadSecretText};
use rewind_aws::executions::Status;
use rewind_aws::fixtures::{ManualClock, plan, rds_with_restored, time};
use rewind_aws::rds::fake::FakeRds;
use rewind_aws::route53::{RecordSet, Zones};
use rewind_aws::zone_facts::{ReadZones, ZoneName, ZoneRecord};
use rewind_client::fake::{FakeAws, NOW};
use rewind_client::{RecoveryClient, Undoing};
use rewind_core::{
    Agreeing, Clock, ErrorName, FencesSeen, Identity, People, Plan, StepError, TwoPeople, request_digest, timeouts,
};
use rewind_ui::format::{self, Values};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
const URL: &str = "https://hooks.slack.com/commands/T1/1/x";

struct FakePorts {
    aws: FakeAws,
    client: RecoveryClient<FakeAws, FakeAws, FakeAws>,
    clock: ManualClock,
    rds: FakeRds,
    /// The value of every name in Route 53; none where nobody may read it.
    value: Mutex<Option<String>>,
    seen: Mutex<BTreeMap<String, i64>>,
    acts: Mutex<BTreeSet<(ActKind, String, ChatAct)>>,
    secret: Mutex<String>,
    secret_reads: Mutex<usize>,
    broken: Mutex<bool>,
    /// True where no act can be recorded.
    forgets: Mutex<bool>,
    /// True where the table does not answer at all.
    hangs: Mutex<bool>,
    deferred: Mutex<Vec<Value>>,
    sent: Mutex<Vec<(String, Value)>>,
    /// How long there was for the last message.
    time_to_send: Mutex<Option<Duration>>,
}

impl Ports for FakePorts {
    type Executions = FakeAws;
    type Recoveries = FakeAws;
    type Functions = FakeAws;
    type Clusters = FakeRds;
    type Zones = Self;
    type ChatRecords = Self;
    type Secrets = Self;
    type Deferred = Self;
    type Slack = Self;
    type Clock = ManualClock;

    fn client(&self) -> &RecoveryClient<FakeAws, FakeAws, FakeAws> {
        &self.client
    }
    fn world(&self) -> (&FakeRds, &Self) {
        (&self.rds, self)
    }
    fn chat_records(&self) -> &Self {
        self
    }
    fn secrets(&self) -> &Self {
        self
    }
    fn deferred(&self) -> &Self {
        self
    }
    fn slack(&self) -> &Self {
        self
    }
    fn clock(&self) -> &ManualClock {
        &self.clock
    }
}

fn broken(ports: &FakePorts) -> AwsResult<()> {
    if *ports.broken.lock().unwrap() { Err(StepError::new(ErrorName::Unavailable, "not now")) } else { Ok(()) }
}

impl ChatRecords for FakePorts {
    async fn first_seen(&self, key: &str, until: i64) -> AwsResult<bool> {
        broken(self)?;
        Ok(self.seen.lock().unwrap().insert(key.to_owned(), until).is_none())
    }
    async fn record_act(&self, kind: ActKind, recovery_id: &str, act: &ChatAct, _: i64) -> AwsResult<()> {
        if *self.hangs.lock().unwrap() {
            std::future::pending::<()>().await;
        }
        if *self.forgets.lock().unwrap() {
            return Err(StepError::new(ErrorName::Unavailable, "not now"));
        }
        self.acts.lock().unwrap().insert((kind, recovery_id.to_owned(), act.clone()));
        Ok(())
    }
}

impl Zones for FakePorts {
    async fn record_sets(&self, zone: &str, name: &str) -> AwsResult<Vec<RecordSet>> {
        if *self.hangs.lock().unwrap() {
            std::future::pending::<()>().await;
        }
        let denied = || StepError::new(ErrorName::RewindFailed, format!("AccessDenied to {zone}"));
        let value = self.value.lock().unwrap().clone().ok_or_else(denied)?;
        let (kind, ttl) = ("CNAME".to_owned(), Some(5));
        Ok(vec![RecordSet { name: name.to_owned(), kind, ttl, values: vec![value], routed: false }])
    }
}

impl ReadZones for FakePorts {
    async fn zone_records(&self, _: &str) -> AwsResult<Option<Vec<ZoneRecord>>> {
        Ok(None)
    }

    async fn zones(&self) -> AwsResult<Option<Vec<ZoneName>>> {
        if *self.hangs.lock().unwrap() {
            std::future::pending::<()>().await;
        }
        Ok(Some(vec![ZoneName { id: "Z1".into(), name: "example.com".into(), private: false }]))
    }
}

impl ReadActs for FakePorts {
    async fn acts(&self, kind: ActKind, recovery_id: &str) -> AwsResult<Vec<ChatAct>> {
        let acts = self.acts.lock().unwrap();
        Ok(acts.iter().filter(|(k, id, _)| *k == kind && id == recovery_id).map(|(.., act)| act.clone()).collect())
    }
}

impl ReadSecretText for FakePorts {
    async fn secret_text(&self, _: &str) -> AwsResult<String> {
        if *self.hangs.lock().unwrap() {
            std::future::pending::<()>().await;
        }
        *self.secret_reads.lock().unwrap() += 1;
        Ok(self.secret.lock().unwrap().clone())
    }
}

impl InvokeAsync for FakePorts {
    async fn invoke_async(&self, function: &str, payload: &Value) -> AwsResult<()> {
        assert_eq!(function, "chatops");
        broken(self)?;
        self.deferred.lock().unwrap().push(payload.clone());
        Ok(())
    }
}

impl SlackClient for FakePorts {
    async fn send(&self, url: &str, message: &Value) -> Result<(), StepError> {
        *self.time_to_send.lock().unwrap() = rewind_clock::time_left();
        self.sent.lock().unwrap().push((url.to_owned(), message.clone()));
        Ok(())
    }
}

/// The function, where U1 may request, U2 may approve, and U3 may do both.
fn app() -> ChatApp<FakePorts> {
    let aws = FakeAws::default();
    let ports = FakePorts {
        client: aws.client(),
        aws,
        clock: ManualClock::at(NOW),
        rds: rds_with_restored(),
        value: Mutex::new(Some("orders-r.cluster-x.us-east-1.rds.amazonaws.com".into())),
        seen: Mutex::default(),
        acts: Mutex::default(),
        secret: Mutex::new(
            json!({ "signingSecret": SECRET, "webhookUrl": "https://hooks.slack.com/services/w" }).to_string(),
        ),
        secret_reads: Mutex::default(),
        broken: Mutex::default(),
        forgets: Mutex::default(),
        hangs: Mutex::default(),
        deferred: Mutex::default(),
        sent: Mutex::default(),
        time_to_send: Mutex::default(),
    };
    let access = AccessPolicy {
        requesters: vec!["U1".into(), "U3".into()],
        approvers: vec!["U2".into(), "U3".into()],
        agreeing: Agreeing { two_people: TwoPeople::Chat, people: People::default() },
        team: Some("T1".into()),
    };
    let settings = Settings {
        access,
        secret_arn: "arn".into(),
        function: "chatops".into(),
        response_prefix: "https://hooks.slack.com/".into(),
    };
    ChatApp { ports, settings, secret: AppSecret::default() }
}

fn event(body: &str, timestamp: &str, signature: &str) -> Value {
    json!({
        "requestContext": { "http": { "method": "POST" } },
        "headers": { "X-Slack-Request-Timestamp": timestamp, "x-slack-signature": signature },
        "body": body, "isBase64Encoded": false,
    })
}

fn signed(body: &str) -> Value {
    let at = time(NOW).as_second().to_string();
    let signature = sign(SECRET, &at, body.as_bytes()).unwrap();
    event(body, &at, &signature)
}

fn line(person: &str, text: &str) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs([
            ("command", "/rewind"),
            ("text", text),
            ("user_id", person),
            ("user_name", "ann"),
            ("team_id", "T1"),
            ("response_url", URL),
        ])
        .finish()
} // a form as Slack sends it

/// Presses a button as it is in a message.
fn pressed(person: &str, button: &Value) -> String {
    let payload = json!({
        "user": { "id": person, "username": "ann" }, "team": { "id": "T1" }, "response_url": URL,
        "actions": [{ "text": button["text"], "value": button["value"] }],
    });
    form_urlencoded::Serializer::new(String::new()).append_pair("payload", &payload.to_string()).finish()
}

/// The button of a task, as the function makes it.
fn button_of(task: &Task) -> Value {
    json!({ "text": { "text": task.label().unwrap() }, "value": button::value(SECRET, task).unwrap() })
}

/// The buttons of a message.
fn buttons(message: &Value) -> Vec<Value> {
    message["blocks"].as_array().unwrap().last().unwrap()["elements"].as_array().unwrap().clone()
}

/// The task that a button of the function stands for.
fn task_of(button: &Value) -> Task {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let pressed = PressedButton { label: text(&button["text"]["text"]), value: text(&button["value"]) };
    let user = of_person("U1", Task::Show { id: String::new() }).user;
    match pressed.pressed(SECRET, &user, time(NOW)).expect("a button of the function") {
        Pressed::Offered(task) => task,
        Pressed::Confirmed(task) => panic!("it does {task:?} at once"),
    }
}

/// Somebody presses a button, and where they are asked whether to do that, the button below the question. Returns the last answer.
async fn press(app: &ChatApp<FakePorts>, person: &str, button: &Value) -> Value {
    let question = ask(app, person, button).await;
    if question["blocks"].as_array().unwrap().last().unwrap()["type"] != "actions" {
        return question;
    }
    ask(app, person, &buttons(&question)[0]).await
}

/// Somebody presses a button. Returns the answer.
async fn ask(app: &ChatApp<FakePorts>, person: &str, button: &Value) -> Value {
    let answer = app.handle(signed(&pressed(person, button))).await;
    assert_eq!((&answer["statusCode"], &answer["body"]), (&json!(200), &json!("")));
    // As if Slack had signed it anew, or another press would be refused as a replay.
    app.ports.seen.lock().unwrap().clear();
    run_deferred(app).await
}

async fn send_line(app: &ChatApp<FakePorts>, person: &str, text: &str) -> Value {
    let answer = app.handle(signed(&line(person, text))).await;
    assert_eq!(answer["statusCode"], 200, "{text}: {answer}");
    serde_json::from_str(answer["body"].as_str().unwrap()).unwrap()
}

fn of_person(person: &str, task: Task) -> DeferredTask {
    let user = ChatUser { id: person.into(), name: "ann".into(), team: "T1".into(), enterprise: None };
    DeferredTask { task, user, response_url: URL.into() }
}

/// The payload of a later invocation, as the function itself signs it.
fn as_deferred(task: &DeferredTask) -> Value {
    signed_task(SECRET, NOW, task)
}

fn signed_task(secret: &str, at: &str, task: &DeferredTask) -> Value {
    let (deferred, timestamp) = (serde_json::to_string(task).unwrap(), time(at).as_second().to_string());
    let signature = sign(secret, &timestamp, &SignedTask::signed_bytes(&deferred)).unwrap();
    json!(SignedTask { deferred, timestamp, signature })
}

/// Runs the task that was deferred, as the later invocation would; returns the message that was sent.
async fn run_deferred(app: &ChatApp<FakePorts>) -> Value {
    let deferred = app.ports.deferred.lock().unwrap().pop().expect("nothing was deferred");
    assert_eq!(app.handle(deferred).await, Value::Null);
    let (url, message) = app.ports.sent.lock().unwrap().pop().expect("nothing was sent");
    assert_eq!(url, URL);
    message
}

fn assert_nothing_happened(app: &ChatApp<FakePorts>) {
    let held = app.ports.aws.state();
    assert!(held.started.is_empty() && held.decisions.is_empty() && held.calls.is_empty());
    assert!(app.ports.deferred.lock().unwrap().is_empty() && app.ports.sent.lock().unwrap().is_empty());
}

// --------------------------------------------------------------------------------------------------------------- http

#[tokio::test]
async fn a_request_that_slack_did_not_sign_just_now_is_refused_quickly_and_without_a_word() {
    let app = app();
    let body = line("U3", "start orders latest");
    let at = time(NOW).as_second();
    let (now, old) = (at.to_string(), (at - 301).to_string());
    let good = sign(SECRET, &now, body.as_bytes()).unwrap();
    let mut cases = vec![
        (event(&body, &now, "v0=00"), 401),
        (event(&body, &now, &good.to_uppercase()), 401),
        (event(&body, &now, &sign("another", &now, body.as_bytes()).unwrap()), 401),
        (event(&body, &old, &sign(SECRET, &old, body.as_bytes()).unwrap()), 401),
        (event(&format!("{body}&text=list"), &now, &good), 401),
        (event(&"x".repeat(1_000_000), &now, &good), 413),
        (signed("command=%2Frewind&user_id=U3&text=%ff%fe"), 400),
        (signed("no form of slack's"), 400),
    ];
    // Each of these has one fault alone, so none is refused for the fault of another.
    let mut unsigned = signed(&body);
    unsigned["headers"] = json!({});
    let mut get = signed(&body);
    get["requestContext"]["http"]["method"] = json!("GET");
    let mut torn = signed(&body);
    torn["isBase64Encoded"] = json!(true);
    torn["body"] = json!("***");
    cases.extend([(unsigned, 401), (get, 405), (torn, 400), (json!({ "requestContext": 7 }), 400)]);
    for (event, status) in cases {
        let began = Instant::now();
        let answer = app.handle(event.clone()).await;
        // A refusal that waits for AWS would let anybody keep all instances of the function busy.
        assert!(began.elapsed() < Duration::from_millis(100), "{event}");
        // No word with it: a reason would help whoever tries to forge a request.
        assert_eq!((&answer["statusCode"], &answer["body"]), (&json!(status), &json!("")), "{event}");
    }
    assert_nothing_happened(&app);
}

#[tokio::test]
async fn the_same_request_is_accepted_once() {
    let app = app();
    let event = signed(&line("U3", "start orders latest --name r-1"));
    assert_eq!(app.handle(event.clone()).await["statusCode"], 200);
    assert_eq!(app.handle(event.clone()).await["statusCode"], 409);
    // As base64, it is the same request still.
    let mut encoded = event;
    let body = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, encoded["body"].as_str().unwrap());
    encoded["body"] = json!(body);
    encoded["isBase64Encoded"] = json!(true);
    assert_eq!(app.handle(encoded).await["statusCode"], 409);
    assert_eq!(app.ports.aws.state().started.len(), 1);
    let until = *app.ports.seen.lock().unwrap().values().next().unwrap();
    // Forgotten earlier, the same signature would be accepted a second time while it is still fresh.
    assert!(until >= time(NOW).as_second() + 300, "it is forgotten before it is too old");
}

#[tokio::test]
async fn a_request_is_refused_where_the_table_cannot_show_if_it_came_before() {
    let app = app();
    // Without the table a replay cannot be told from a first request, so none is let in.
    *app.ports.broken.lock().unwrap() = true;
    let answer = app.handle(signed(&line("U3", "start orders latest"))).await;
    assert_eq!((&answer["statusCode"], &answer["body"]), (&json!(503), &json!("")));
    assert_nothing_happened(&app);
}

#[tokio::test]
async fn a_secret_that_anybody_could_guess_lets_nobody_in() {
    for guessed in ["", "                ", "0123456789abcde"] {
        let app = app();
        *app.ports.secret.lock().unwrap() = json!({ "signingSecret": guessed }).to_string();
        let (at, body) = (time(NOW).as_second().to_string(), line("U3", "start orders latest --name r-1"));
        let signature = sign(guessed, &at, body.as_bytes()).unwrap();
        assert_eq!(app.handle(event(&body, &at, &signature)).await["statusCode"], 503, "{guessed:?}");
        // Nor is a task of the function's own believed.
        app.handle(signed_task(guessed, NOW, &of_person("U3", Task::Show { id: "r-1".into() }))).await;
        assert_nothing_happened(&app);
    }
}

#[tokio::test]
async fn a_replaced_secret_is_read_again_and_wrong_signatures_do_not_make_it_read_each_time() {
    let app = app();
    let reads = || *app.ports.secret_reads.lock().unwrap();
    send_line(&app, "U3", "list").await;
    assert_eq!(reads(), 1);
    let at = |now: i64| now.to_string();
    let mut now = time(NOW).as_second();
    let replaced = "a52e1f0b9c8d4763b1a0ffeeddccbbaa";
    let by_new = |now: i64, text: &str| {
        let body = line("U3", text);
        event(&body, &at(now), &sign(replaced, &at(now), body.as_bytes()).unwrap())
    };
    *app.ports.secret.lock().unwrap() = json!({ "signingSecret": replaced }).to_string();
    // Within a minute of the last read: whoever sends wrong signatures must not run up calls of Secrets Manager.
    for _ in 0..5 {
        assert_eq!(app.handle(by_new(now, "list")).await["statusCode"], 401);
    }
    assert_eq!(reads(), 1);
    app.ports.clock.sleep(Duration::from_secs(61)).await;
    now += 61;
    assert_eq!(app.handle(by_new(now, "list")).await["statusCode"], 200);
    assert_eq!(reads(), 2);
}

#[tokio::test]
async fn slack_is_answered_in_time_even_where_aws_does_not_answer() {
    let app = app();
    let began = Instant::now();
    // With the secret unread nobody can be let in. How long is added up elsewhere: a busy machine is slower.
    *app.ports.hangs.lock().unwrap() = true;
    assert_eq!(app.handle(signed(&line("U3", "list"))).await["statusCode"], 503);
    assert!(began.elapsed() < 3 * timeouts::SLACK_DEADLINE, "{:?}", began.elapsed());
    *app.ports.hangs.lock().unwrap() = false;
    send_line(&app, "U3", "list").await;
    // With the table silent a start is handed over, and started once, under the name that was given.
    *app.ports.hangs.lock().unwrap() = true;
    let began = Instant::now();
    let answer = send_line(&app, "U3", "start orders latest --name r-1").await;
    assert!(began.elapsed() < 3 * timeouts::SLACK_DEADLINE, "{:?}", began.elapsed());
    assert!(answer["text"].as_str().unwrap().contains("starting r-1"), "{answer}");
    assert!(app.ports.aws.state().started.is_empty());
    *app.ports.hangs.lock().unwrap() = false;
    run_deferred(&app).await;
    assert_eq!(app.ports.aws.state().started.len(), 1);
}

#[tokio::test]
async fn a_deferred_task_that_takes_too_long_is_answered_all_the_same() {
    let app = app();
    send_line(&app, "U3", "help").await; // reads the secret
    *app.ports.hangs.lock().unwrap() = true;
    let task = Task::Start { id: "r-1".into(), request: json!({ "cluster": "orders", "to": "latest" }) };
    let deferred = as_deferred(&of_person("U3", task));
    let time = timeouts::POST + timeouts::CALLS_END_BEFORE + Duration::from_millis(500);
    let done = rewind_clock::invocation(time, Box::pin(app.handle(deferred))).await;
    assert_eq!(done, Ok(Value::Null));
    let (_, message) = app.ports.sent.lock().unwrap().pop().expect("nothing was sent");
    assert!(message["text"].as_str().unwrap().contains("may or may not be done"), "{message}");
    let time = app.ports.time_to_send.lock().unwrap().unwrap();
    assert!(time > timeouts::POST / 2, "{time:?} to tell it");
}

#[tokio::test]
async fn an_ssl_check_is_answered() {
    assert_eq!(app().handle(signed("ssl_check=1&token=x")).await["statusCode"], 200);
}

// ----------------------------------------------------------------------------------------------------------- standing

#[tokio::test]
async fn a_status_and_a_list_show_how_the_clusters_stand_in_brief() {
    let app = app();
    app.ports.aws.add_running("r-1");
    app.ports
        .aws
        .state()
        .fences
        .insert("r-1".into(), FencesSeen { source: false, restored: true, source_lifted_at: None });
    for command in ["status r-1", "list"] {
        let text = slack_text(&send_line(&app, "U1", command).await);
        assert!(text.contains("traffic: orders-r; fenced: orders-r"), "{command}: {text}");
        assert!(
            text.contains("/rewind cancel r-1") || text.contains("safe now         /rewind status r-1"),
            "{command}: {text}"
        );
        assert!(text.contains("clients may have no database") && !text.contains("--follow"), "{command}: {text}");
    }
    *app.ports.value.lock().unwrap() = None;
    for command in ["status r-1", "list"] {
        // By another person: the same request comes in once.
        let text = slack_text(&send_line(&app, "U2", command).await);
        assert!(text.contains("traffic: not seen; fenced: orders-r"), "{command}: {text}");
    }
}

#[tokio::test]
async fn what_cannot_be_seen_in_time_leaves_the_rest_of_the_message() {
    let app = app();
    app.ports.aws.add_running("r-1");
    send_line(&app, "U1", "help").await; // reads the secret
    *app.ports.hangs.lock().unwrap() = true;
    for (command, notice) in [("status r-1", "now: not seen"), ("list", "was not seen: AWS did not answer in time")] {
        let text = slack_text(&send_line(&app, "U1", command).await);
        assert!(text.contains("r-1") && text.contains("Running") && text.contains(notice), "{command}: {text}");
    }
}

#[tokio::test]
async fn a_refusal_names_the_options_that_people_type_in_chat() {
    let app = app();
    let text = slack_text(&send_line(&app, "U3", "start orders latest --approval-timeout 2d").await);
    assert!(text.contains("--approval-timeout is") && !text.contains("approvalTimeout"), "{text}");
    assert!(app.ports.aws.state().started.is_empty(), "{text}");
    // So does a button, and the cause of a dry run.
    let request = json!({ "cluster": "orders", "to": "latest", "secretArn": "arn:secret" });
    let question = ask(&app, "U3", &button_of(&Task::Start { id: "r-4".into(), request })).await;
    let text = slack_text(&question);
    assert!(text.contains("--secret: arn:secret") && text.contains("cluster: orders"), "{text}");
}

// ------------------------------------------------------------------------------------------------------------- access

#[tokio::test]
async fn a_user_without_access_is_denied_and_shown_nothing_else() {
    let app = app();
    app.ports.aws.add_awaiting_approval("r-1");
    // The id of a user with access, in another workspace, where it belongs to somebody else.
    let mut elsewhere = line("U3", "list");
    elsewhere = elsewhere.replace("team_id=T1", "team_id=T2");
    let mut answers = vec![app.handle(signed(&elsewhere)).await];
    // Even the help would show what can be done here.
    for text in ["", "help", "list", "status r-1", "start orders latest", "approve r-1 --hash abcdef", "nonsense --x"] {
        answers.push(app.handle(signed(&line("U9", text))).await);
    }
    for answer in answers {
        let reply: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        assert_eq!(reply["text"], ACCESS_DENIED);
        assert!(!reply.to_string().contains("r-1") && !reply.to_string().contains("orders"), "{reply}");
    }
    assert_nothing_happened(&app);
}

#[tokio::test]
async fn a_user_without_the_permission_is_given_the_reason_and_nothing_is_done() {
    let app = app();
    let hash = app.ports.aws.add_awaiting_approval("r-1");
    for (person, text) in [
        ("U2", "start orders latest".to_owned()),
        ("U2", "orders 5m ago".to_owned()),
        ("U1", format!("approve r-1 --hash {hash}")),
        ("U1", "undo r-1 --confirm orders".to_owned()),
        ("U1", "window orders 24h".to_owned()),
    ] {
        let reply = send_line(&app, person, &text).await;
        assert!(reply["text"].as_str().unwrap().starts_with("you may look"), "{text}: {reply}");
        assert_eq!(reply["response_type"], "ephemeral");
    }
    assert_nothing_happened(&app);
}

#[tokio::test]
async fn a_button_needs_the_permission_of_whoever_presses_it() {
    let app = app();
    let hash = app.ports.aws.add_awaiting_approval("r-1");
    let decide = Task::Decide { id: "r-1".into(), approved: true, comment: None, hash };
    for (person, reply) in [("U1", APPROVAL_DENIED), ("U9", ACCESS_DENIED)] {
        assert_eq!(press(&app, person, &button_of(&decide)).await["text"], reply);
    }
    assert!(app.ports.aws.state().decisions.is_empty());
}

/// Whoever posts as the app, by its webhook, has nobody press what it likes.
#[tokio::test]
async fn a_button_that_the_function_did_not_make_for_that_does_nothing() {
    let app = app();
    let hash = app.ports.aws.add_awaiting_approval("r-1");
    app.ports.aws.add_awaiting_approval("r-2");
    app.ports.aws.add_recovered("r-3");
    let reply = send_line(&app, "U2", "approve r-1").await;
    let (approve, reject) = (buttons(&reply)[0].clone(), buttons(&reply)[1].clone());
    let undo = buttons(&send_line(&app, "U2", "undo r-3").await)[0].clone();
    let value = approve["value"].as_str().unwrap();
    let button = |label: &str, value: &str| json!({ "text": { "text": label }, "value": value });
    let task = value.split_once(' ').unwrap().1;
    for (what, button) in [
        ("one that was forged", button("Approve", task)),
        ("one with a MAC of another secret", button("Approve", &button::value("another", &task_of(&approve)).unwrap())),
        ("one of another recovery", button("Approve", &value.replace("r-1", "r-2"))),
        ("one with another hash", button("Approve", &value.replace(&hash, &"0".repeat(hash.len())))),
        ("a rejection turned", button("Approve", &reject["value"].as_str().unwrap().replace("false", "true"))),
        ("an approval that is labelled as something else", button("Reject", value)),
        ("an undo that is labelled as something else", button("Approve", undo["value"].as_str().unwrap())),
        ("one without a label", json!({ "text": {}, "value": value })),
    ] {
        app.handle(signed(&pressed("U2", &button))).await;
        let (url, message) = app.ports.sent.lock().unwrap().pop().expect(what);
        assert_eq!((url.as_str(), &message["text"]), (URL, &json!(FOREIGN_BUTTON)), "{what}");
        // Whoever has no access learns no more of it than of anything else.
        app.handle(signed(&pressed("U9", &button))).await;
        let (_, message) = app.ports.sent.lock().unwrap().pop().expect(what);
        assert_eq!(message["text"], ACCESS_DENIED, "{what}");
        assert_nothing_happened(&app);
    }
    assert_eq!(press(&app, "U2", &approve).await["response_type"], "in_channel");
    assert_eq!(app.ports.aws.state().decisions[0].1["decision"], "approved");
}

/// Whoever reads the channel copies a genuine button below a text of their own, such as "press here for lunch".
#[tokio::test]
async fn a_genuine_button_below_another_text_shows_its_effect_and_does_nothing_by_itself() {
    let app = app();
    let hash = app.ports.aws.add_awaiting_approval("r-1");
    app.ports.aws.add_recovered("r-3");
    let decide = |approved| Task::Decide { id: "r-1".into(), approved, comment: None, hash: hash.clone() };
    let start =
        Task::Start { id: "r-4".into(), request: json!({ "cluster": "orders", "to": "latest", "cutover": "dns" }) };
    let undo = Task::Undo { id: "r-3".into(), confirm: "orders".into(), undoing: Undoing::Undo };
    for (task, shown) in [
        (decide(true), &["Approve r-1?", "orders is fenced and its traffic moves to orders-r.", hash.as_str()][..]),
        (decide(false), &["Reject r-1?", "orders-r is deleted if nobody uses it."]),
        (start, &["Start r-4?", "cluster: orders", "to: latest", "cutover: dns"]),
        (undo, &["Undo r-3?", "orders has its traffic again, or keeps it."]),
    ] {
        let question = ask(&app, "U3", &button_of(&task)).await;
        assert_eq!(question["response_type"], "ephemeral", "{task:?}");
        let text = slack_text(&question);
        assert!(shown.iter().all(|part| text.contains(part)), "{task:?}: {text}");
        assert!(app.ports.aws.state().started.is_empty(), "{task:?}");
        assert!(app.ports.aws.state().decisions.is_empty(), "{task:?}");
        // The button below the question is no one else's, and nobody else sees it.
        let confirming = buttons(&question)[0].clone();
        app.handle(signed(&pressed("U2", &confirming))).await;
        let (_, message) = app.ports.sent.lock().unwrap().pop().expect("nothing was sent");
        assert_eq!(message["text"], FOREIGN_BUTTON, "{task:?}");
        assert!(app.ports.deferred.lock().unwrap().is_empty(), "{task:?}");
    }
}

#[tokio::test]
async fn a_button_of_a_proposal_that_is_not_the_one_that_waits_confirms_nothing() {
    let app = app();
    app.ports.aws.add_awaiting_approval("r-1");
    let task = Task::Decide { id: "r-1".into(), approved: true, comment: None, hash: "0123456789ab".into() };
    let answer = ask(&app, "U2", &button_of(&task)).await;
    assert!(answer["text"].as_str().unwrap().contains("another proposal"), "{answer}");
    assert_ne!(answer["blocks"].as_array().unwrap().last().unwrap()["type"], "actions");
}

/// The text of a message, without what is for Slack alone.
fn slack_text(message: &Value) -> String {
    let blocks = message["blocks"].as_array().unwrap();
    let text: String = blocks.iter().filter_map(|block| block["text"]["text"].as_str()).collect();
    text.replace(['*', '`', '\u{2060}'], "")
}

#[tokio::test]
async fn a_requester_cannot_approve_their_own_recovery() {
    let app = app();
    // That somebody else asked for that name before changes nothing.
    send_line(&app, "U1", "start orders 5m ago --name r-1").await;
    send_line(&app, "U3", "start orders latest --name r-1").await;
    let started = app.ports.aws.state().started[0].1.clone();
    let digest = |to: &str| {
        let mut request = started.clone();
        request["to"] = json!(to);
        request_digest(&request)
    };
    let act = |user: &str, to: &str| ChatAct { team: "T1".into(), user: user.into(), of: digest(to) };
    let asked = [act("U1", "5m ago"), act("U3", "latest")].map(|act| (ActKind::Requested, "r-1".to_owned(), act));
    assert_eq!(app.ports.acts.lock().unwrap().iter().cloned().collect::<Vec<_>>(), asked);
    let hash = app.ports.aws.add_awaiting_approval("r-1");
    started_by(&app, "r-1", "U3");
    let yes = Task::Decide { id: "r-1".into(), approved: true, comment: None, hash };
    assert_eq!(press(&app, "U3", &button_of(&yes)).await["text"], SELF_APPROVAL_DENIED);
    assert!(app.ports.aws.state().decisions.is_empty());
    assert_eq!(press(&app, "U2", &button_of(&yes)).await["response_type"], "in_channel");
    let decision = app.ports.aws.state().decisions[0].1.clone();
    assert_eq!(decision["by"], "ann (U2 in Slack workspace T1)");
    assert_eq!(decision["identity"], json!({ "kind": "slack", "team": "T1", "user": "U2" }));
    // By this record confirm-approval verifies it, and nobody else may write one.
    let approved = ChatAct { team: "T1".into(), user: "U2".into(), of: decision["hash"].as_str().unwrap().to_owned() };
    assert!(app.ports.acts.lock().unwrap().contains(&(ActKind::Approved, "r-1".to_owned(), approved)));
}

#[tokio::test]
async fn one_person_in_two_workspaces_is_one_person() {
    for (people, rule, approver) in [
        // In an organization the id is the same in all workspaces.
        ("", TwoPeople::Chat, ("T2", "U3")),
        // One who was there before the organization has another one in each.
        ("cleo=T1/U3|T2/U2,ben=T1/U2", TwoPeople::Chat, ("T2", "U2")),
        ("cleo=T1/U3|T2/U2,ben=T1/U2", TwoPeople::Always, ("T2", "U2")),
        // Whoever is in no mapping may be anybody.
        ("cleo=T1/U3,ben=T1/U2", TwoPeople::Always, ("T2", "U2")),
    ] {
        let mut app = app();
        of_two_workspaces(&mut app);
        app.settings.access.agreeing = Agreeing { two_people: rule, people: people.parse().unwrap() };
        let hash = app.ports.aws.add_awaiting_approval("r-1");
        started_by(&app, "r-1", "U3");
        let task = Task::Decide { id: "r-1".into(), approved: true, comment: None, hash };
        let mut deferred = of_person(approver.1, task);
        deferred.user.team = approver.0.to_owned();
        app.handle(as_deferred(&deferred)).await;
        assert!(app.ports.aws.state().decisions.is_empty(), "{people} {rule:?} {approver:?}");
        assert!(app.ports.acts.lock().unwrap().is_empty(), "{people} {rule:?} {approver:?}");
    }
}

#[tokio::test]
async fn no_approval_of_something_else_than_was_shown_is_recorded() {
    let app = app();
    app.ports.aws.add_awaiting_approval("r-1");
    let task = Task::Decide { id: "r-1".into(), approved: true, comment: None, hash: "0123456789ab".into() };
    app.handle(as_deferred(&of_person("U2", task))).await;
    assert!(app.ports.acts.lock().unwrap().is_empty());
    assert!(app.ports.aws.state().decisions.is_empty());
}

#[tokio::test]
async fn an_undo_and_another_window_take_two_people_as_well() {
    let undo = Task::Undo { id: "r-1".into(), confirm: "orders".into(), undoing: Undoing::Undo };
    let window = Task::Window { cluster: "orders".into(), window: Some("2d".into()), confirm: None };
    for task in [undo, window] {
        let mut app = app();
        of_two_workspaces(&mut app);
        let people = "ben=T1/U2|T2/U3,cleo=T1/U3".parse().unwrap();
        app.settings.access.agreeing = Agreeing { two_people: TwoPeople::Always, people };
        app.ports.aws.add_recovered("r-1");
        let asks = |user: &str, team: &str, at: &str| {
            let mut deferred = of_person(user, task.clone());
            deferred.user.team = team.to_owned();
            signed_task(SECRET, at, &deferred)
        };
        let changed = |app: &ChatApp<FakePorts>| {
            let state = app.ports.aws.state();
            state.started.len() + state.calls.len()
        };
        app.handle(asks("U2", "T1", NOW)).await;
        // The same person as a member of another workspace.
        app.handle(asks("U3", "T2", NOW)).await;
        assert_eq!(changed(&app), 0, "{task:?}");
        let (_, message) = app.ports.sent.lock().unwrap().last().unwrap().clone();
        assert_eq!(message["response_type"], "in_channel");
        app.handle(asks("U3", "T1", NOW)).await;
        assert_eq!(changed(&app), 1, "{task:?}");
        // What Ben asked for is done: for the next time somebody has to ask again.
        app.ports.clock.sleep(Duration::from_secs(60)).await;
        let later = app.ports.clock.now().to_string();
        let sent = app.ports.sent.lock().unwrap().len();
        app.handle(asks("U3", "T1", &later)).await;
        assert_eq!(changed(&app), 1, "{task:?}");
        let (_, message) = app.ports.sent.lock().unwrap()[sent].clone();
        assert!(message.to_string().contains("asks for /rewind"), "{message}");
    }
}

#[tokio::test]
async fn what_somebody_asked_for_yesterday_or_otherwise_counts_for_nothing() {
    let mut app = app();
    let people = "ben=U2,cleo=U3".parse().unwrap();
    app.settings.access.agreeing = Agreeing { two_people: TwoPeople::Always, people };
    let window = |window: &str| Task::Window { cluster: "orders".into(), window: Some(window.into()), confirm: None };
    app.handle(as_deferred(&of_person("U2", window("2d")))).await;
    app.handle(as_deferred(&of_person("U3", window("3d")))).await;
    assert!(app.ports.aws.state().calls.is_empty(), "they asked for different windows");
    app.ports.clock.sleep(Duration::from_secs(2 * 3_600)).await;
    app.handle(signed_task(SECRET, "2026-11-23T12:50:00Z", &of_person("U3", window("2d")))).await;
    assert!(app.ports.aws.state().calls.is_empty(), "two hours later");
}

/// Gives the same ids of the workspace `T2` what those of `T1` may.
fn of_two_workspaces(app: &mut ChatApp<FakePorts>) {
    let access = &mut app.settings.access;
    access.team = None;
    for list in [&mut access.requesters, &mut access.approvers] {
        *list = list.iter().flat_map(|id| [format!("T1/{id}"), format!("T2/{id}")]).collect();
    }
}

/// Writes into the record of a recovery that a user of workspace `T1` started it.
fn started_by(app: &ChatApp<FakePorts>, id: &str, user: &str) {
    let identity = Identity::Slack { team: "T1".into(), user: user.into() };
    let mut state = app.ports.aws.state();
    let record = state.records.get_mut(id).unwrap();
    record.plan = Some(Plan { started_by: vec![identity], ..plan() });
}

#[tokio::test]
async fn a_requester_can_reject_their_own_recovery() {
    let app = app();
    send_line(&app, "U3", "start orders latest --name r-1").await;
    let hash = app.ports.aws.add_awaiting_approval("r-1");
    send_line(&app, "U3", &format!("reject r-1 not now --hash {hash}")).await;
    run_deferred(&app).await;
    let decision = app.ports.aws.state().decisions[0].1.clone();
    assert_eq!((&decision["decision"], &decision["comment"]), (&json!("rejected"), &json!("not now")));
}

#[tokio::test]
async fn nothing_is_started_whose_requester_cannot_be_recorded() {
    let app = app();
    let task = Task::Start { id: "r-1".into(), request: json!({ "cluster": "orders", "to": "latest" }) };
    let deferred = of_person("U3", task);
    *app.ports.forgets.lock().unwrap() = true;
    app.handle(as_deferred(&deferred)).await;
    assert!(app.ports.aws.state().started.is_empty());
}

#[tokio::test]
async fn nobody_in_chat_leaves_the_question_out() {
    let app = app();
    for line in ["start orders latest --name r-1 --approval none", "start orders latest --name r-1 --approval None"] {
        let reply = send_line(&app, "U3", line).await;
        let text = reply["text"].as_str().unwrap();
        assert!(text.contains("always asked") || text.contains("approval"), "{line}: {text}");
    }
    // Nor by a button.
    let task =
        Task::Start { id: "r-1".into(), request: json!({ "cluster": "orders", "to": "latest", "approval": "none" }) };
    assert_eq!(press(&app, "U1", &button_of(&task)).await["text"], UNASKED_DENIED);
    assert_nothing_happened(&app);
    // What is resumed brings words of its own.
    let resumed = Task::Start { id: "r-2".into(), request: json!({ "cluster": "orders", "resume": "r-0" }) };
    press(&app, "U1", &button_of(&resumed)).await;
    assert_eq!(app.ports.aws.state().started[0].1["approval"], "required");
}

// --------------------------------------------------------------------------------------------------------------- commands

#[tokio::test]
async fn a_plan_comes_at_once_with_a_button_that_starts_the_recovery_to_that_very_moment() {
    let app = app();
    // The dry run ends while it is waited for.
    let begun = send_line(&app, "U1", "orders 5m ago").await;
    assert!(begun["text"].as_str().unwrap().contains("planning"), "{begun}");
    let id = app.ports.aws.state().started[0].0.clone();
    let arn = app.ports.client.deployment.recovery_arn(&id);
    app.ports.aws.end(&arn, Status::Succeeded, json!({ "outcome": "Planned", "recoveryId": id, "plan": plan() }));
    let reply = run_deferred(&app).await;
    let button = &buttons(&reply)[0];
    let task = task_of(button);
    let Task::Start { id, request } = &task else { panic!("{task:?}") };
    assert_eq!(
        (id.as_str(), &request["to"], &request["dryRun"]),
        ("rewind-orders-20261123-105000", &json!(plan().target.to_string()), &json!(false))
    );
    // Pressed twice, it is started once.
    for _ in 0..2 {
        press(&app, "U1", button).await;
    }
    assert_eq!(app.ports.aws.state().started.len(), 2, "the dry run and the recovery");
}

#[tokio::test]
async fn a_name_stands_for_its_cluster_and_its_record_and_a_time_has_the_zone_that_was_typed() {
    let app = app();
    *app.ports.value.lock().unwrap() = Some("orders.cluster-x.us-east-1.rds.amazonaws.com".into());
    let answer = send_line(&app, "U1", "start db.example.com 11:30 Europe/Berlin --name r-1").await;
    let asked = app.ports.aws.state().started[0].1.clone();
    assert_eq!(asked["cluster"], "orders");
    assert_eq!(asked["to"], "2026-11-23T10:30:00Z");
    assert_eq!(asked["dns"], json!([{ "hostedZoneId": "Z1", "name": "db.example.com" }]));
    assert!(answer.to_string().contains("back to: 2026-11-23T10:30:00Z (\\\"11:30 Europe/Berlin\\\"), "), "{answer}");
    // While the plan is made, and of a record without its zone.
    let answer = send_line(&app, "U1", "plan orders 10 minutes ago --dns db.example.com").await;
    assert!(answer["text"].as_str().unwrap().contains("(\"10 minutes ago\"), 10m ago"), "{answer}");
    assert_eq!(app.ports.aws.state().started[1].1["dns"][0]["hostedZoneId"], "Z1");
    app.ports.deferred.lock().unwrap().clear();
    // What fits nothing starts nothing.
    for (text, why) in [
        ("start orders 14:00", "has no zone"),
        ("start orders 14:00 local", "is no zone"),
        ("start db.elsewhere.org 5m ago", "no hosted zone of this account could hold db.elsewhere.org"),
        ("start orders latest --dns db.elsewhere.org", "no hosted zone"),
    ] {
        let answer = send_line(&app, "U1", text).await;
        assert!(answer.to_string().contains(why), "{text}: {answer}");
    }
    assert_eq!(app.ports.aws.state().started.len(), 2);
}

#[tokio::test]
async fn names_that_cannot_be_found_in_time_start_nothing() {
    let app = app();
    send_line(&app, "U3", "list").await;
    *app.ports.hangs.lock().unwrap() = true;
    let answer = send_line(&app, "U3", "start db.example.com 5m ago").await;
    assert!(answer.to_string().contains("nothing was changed"), "{answer}");
    assert!(app.ports.aws.state().started.is_empty() && app.ports.deferred.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_plan_that_was_refused_gives_the_reason() {
    let app = app();
    send_line(&app, "U1", "orders 5m ago").await;
    let id = app.ports.aws.state().started[0].0.clone();
    let arn = app.ports.client.deployment.recovery_arn(&id);
    app.ports.aws.state().executions.get_mut(&arn).unwrap().cause = Some("outside the window".into());
    app.ports.aws.end(&arn, Status::Failed, Value::Null);
    assert_eq!(run_deferred(&app).await["text"], "outside the window");
}

#[tokio::test]
async fn approving_without_a_hash_shows_what_there_is_to_decide_on() {
    let app = app();
    let hash = app.ports.aws.add_awaiting_approval("r-1");
    let reply = send_line(&app, "U2", "approve r-1 looks good").await;
    let tasks: Vec<Task> = buttons(&reply).iter().map(task_of).collect();
    let decide =
        |approved| Task::Decide { id: "r-1".into(), approved, comment: Some("looks good".into()), hash: hash.clone() };
    assert_eq!(tasks, [decide(true), decide(false)]);
    assert!(slack_text(&reply).contains("all of it: /rewind status r-1"), "{reply}");
    // The token alone ends the wait: whoever has it can approve past the access policy.
    assert!(reply.to_string().contains(&hash) && !reply.to_string().contains("token"));
    assert!(app.ports.aws.state().decisions.is_empty());
}

#[tokio::test]
async fn the_status_of_one_that_waits_shows_all_that_the_message_with_the_buttons_has_in_short() {
    let app = app();
    app.ports.aws.add_awaiting_approval("r-1");
    let status = slack_text(&send_line(&app, "U1", "status r-1").await);
    let proposal = app.ports.client.approval_request("r-1").await.unwrap().proposal;
    for fact in format::proposal(&proposal, Values::Hidden).lines() {
        assert!(status.contains(fact.text()), "{status}\nlacks {}", fact.text());
    }
    assert!(status.contains("/rewind approve r-1 has the buttons"), "{status}");
    // Where another proposal was sent than the history has, nobody is shown that one for it.
    app.ports.aws.state().records.get_mut("r-1").unwrap().approval.as_mut().unwrap().hash = "0123456789ab".into();
    // By somebody else: the same request is accepted once.
    let status = slack_text(&send_line(&app, "U2", "status r-1").await);
    assert!(
        status.contains("could not be shown here as it was sent") && !status.contains("If you approve"),
        "{status}"
    );
}

#[tokio::test]
async fn each_button_shows_its_effect_where_the_cluster_itself_is_rewound_too() {
    let beside = ("orders is fenced and its traffic moves to orders-r.", "orders-r is deleted if nobody uses it.");
    let in_place = (
        "orders itself goes back to 2026-11-23T10:30:00Z: every connection to it is cut.",
        "Nothing is changed: orders stays as it is.",
    );
    let app = app();
    app.ports.aws.add_awaiting_approval("r-1");
    app.ports.aws.add_awaiting_approval_in_place("r-2");
    for (id, (approve, reject)) in [("r-1", beside), ("r-2", in_place)] {
        let reply = send_line(&app, "U2", &format!("approve {id}")).await;
        for (button, effect) in buttons(&reply).iter().zip([approve, reject]) {
            let question = slack_text(&ask(&app, "U2", button).await);
            assert!(question.contains(effect), "{id}: {question}");
        }
    }
}

#[tokio::test]
async fn a_proposal_that_cannot_be_shown_cannot_be_approved_by_a_button() {
    let app = app();
    app.ports.aws.add_awaiting_approval("r-1");
    // A hash of something else than what the record holds: the button would approve what nobody saw.
    app.ports.aws.state().records.get_mut("r-1").unwrap().approval.as_mut().unwrap().hash = "0123456789ab".into();
    let reply = send_line(&app, "U2", "approve r-1").await;
    let labels: Vec<_> = buttons(&reply).iter().map(|button| button["text"]["text"].clone()).collect();
    assert_eq!(labels, ["Reject"]);
}

#[tokio::test]
async fn an_undo_asks_first_and_is_then_started_in_the_users_name() {
    let app = app();
    app.ports.aws.add_recovered("r-1");
    let reply = send_line(&app, "U2", "undo r-1").await;
    assert!(app.ports.aws.state().started.is_empty());
    press(&app, "U2", &buttons(&reply)[0]).await;
    let started = app.ports.aws.state().started.clone();
    assert_eq!(
        started,
        [("r-1-undo".to_owned(), json!({ "recovery": "r-1", "by": "ann (U2 in Slack workspace T1)" }))]
    );
}

#[tokio::test]
async fn a_window_is_read_by_everybody_with_access_and_set_by_approvers() {
    let app = app();
    send_line(&app, "U1", "window orders").await;
    run_deferred(&app).await;
    send_line(&app, "U2", "window orders 24h --confirm orders").await;
    run_deferred(&app).await;
    let called: Vec<Value> = app.ports.aws.state().calls.iter().map(|(_, payload)| payload.clone()).collect();
    assert_eq!(
        called,
        [json!({ "cluster": "orders" }), json!({ "cluster": "orders", "window": "24h", "confirm": "orders" })]
    );
}

#[tokio::test]
async fn the_reason_of_a_refusal_reaches_the_user_who_asked() {
    let app = app();
    for (text, part) in [
        ("status nope", "there is no recovery nope"),
        ("start orders soon", "`to` is \"soon\""),
        ("approve nope", "there is no recovery nope"),
        ("start orders latest --colour red", "--colour"),
    ] {
        let reply = send_line(&app, "U3", text).await;
        assert!(reply["text"].as_str().unwrap().contains(part), "{text}: {reply}");
    }
}

// -------------------------------------------------------------------------------------------------------------- events

#[tokio::test]
async fn the_channel_is_asked_when_a_recovery_waits_and_notified_when_it_has_ended() {
    let app = app();
    let hash = app.ports.aws.add_awaiting_approval("r-1");
    app.ports.aws.add_recovered("r-2");
    for id in ["r-1", "r-2"] {
        app.handle(json!({ "source": "aurora-rewind", "detail-type": "x", "detail": { "recoveryId": id } })).await;
    }
    let sent = app.ports.sent.lock().unwrap().clone();
    // An incoming webhook takes text and blocks alone, and refuses a response type.
    assert!(sent.iter().all(|(url, message)| url == "https://hooks.slack.com/services/w" && message.get("response_type").is_none()));
    assert!(sent[0].1.to_string().contains(&hash) && sent[0].1.to_string().contains("Approve"));
    assert!(sent[1].1["text"].as_str().unwrap().contains("r-2: Recovered"));
}

#[tokio::test]
async fn the_channel_is_not_notified_of_a_plan_that_was_refused_to_its_requester() {
    let app = app();
    for (text, notified) in [("orders 5m ago", 0), ("start orders 5m ago --name r-1", 1)] {
        send_line(&app, "U3", text).await;
        let id = app.ports.aws.state().started.last().unwrap().0.clone();
        let arn = app.ports.client.deployment.recovery_arn(&id);
        let detail = json!({ "recoveryId": id, "executionArn": arn });
        app.handle(json!({ "source": "aurora-rewind", "detail-type": "Rewind Nothing Changed", "detail": detail }))
            .await;
        assert_eq!(app.ports.sent.lock().unwrap().len(), notified, "{text}");
    }
}

#[tokio::test]
async fn an_approval_that_is_announced_before_it_can_be_given_is_waited_for() {
    let app = app();
    app.ports.aws.add_running("r-1");
    let announced = json!({
        "source": "aurora-rewind", "detail-type": "Rewind Approval Requested", "detail": { "recoveryId": "r-1" },
    });
    let before = app.ports.clock.now();
    app.handle(announced).await;
    let waited = app.ports.clock.now().duration_since(before);
    assert!(waited.unsigned_abs() >= timeouts::CHAT_APPROVAL, "{waited}");
    let (_, reply) = app.ports.sent.lock().unwrap().pop().unwrap();
    assert!(reply["text"].as_str().unwrap().contains("r-1: Running"));
}

/// Whoever may invoke the function is no approver for that.
#[tokio::test]
async fn a_deferred_task_that_the_function_did_not_sign_just_now_does_nothing() {
    let app = app();
    let task = Task::Undo { id: "r-1".into(), confirm: "orders".into(), undoing: Undoing::Undo };
    let forged = of_person("U2", task.clone());
    let good = as_deferred(&forged);
    let with = |field: &str, value: Value| {
        let mut edited = good.clone();
        edited[field] = value;
        edited
    };
    let another = serde_json::to_string(&of_person("U3", task)).unwrap();
    let as_request = sign(SECRET, good["timestamp"].as_str().unwrap(), good["deferred"].as_str().unwrap().as_bytes());
    for event in [
        json!({ "deferred": forged }),
        json!({ "deferred": good["deferred"] }),
        with("deferred", json!(another)),
        with("signature", json!("v0=00")),
        with("signature", json!(as_request)),
        with("timestamp", json!((time(NOW).as_second() + 1).to_string())),
        signed_task("another", NOW, &forged),
        signed_task(SECRET, "2020-01-01T00:00:00Z", &forged),
    ] {
        assert_eq!(app.handle(event.clone()).await, Value::Null);
        assert_nothing_happened(&app);
    }
    // Signed, it is done, and once.
    for _ in 0..2 {
        app.handle(good.clone()).await;
        assert_eq!(app.ports.sent.lock().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_deferred_task_is_not_run_where_nobody_knows_whether_it_ran_before() {
    let app = app();
    *app.ports.broken.lock().unwrap() = true;
    let task = Task::Start { id: "r-1".into(), request: json!({ "cluster": "orders", "to": "latest" }) };
    app.handle(as_deferred(&of_person("U3", task))).await;
    let (_, message) = app.ports.sent.lock().unwrap().pop().expect("nothing was sent");
    assert!(message["text"].as_str().unwrap().contains("nothing was done"), "{message}");
    assert!(app.ports.aws.state().started.is_empty());
}

#[tokio::test]
async fn a_message_goes_to_slack_and_nowhere_else() {
    let app = app();
    // The prefix ends in a slash, or a host that only begins like Slack's would pass.
    for url in ["http://hooks.slack.com/x", "https://hooks.slack.com.evil.example/x", "https://evil.example/", ""] {
        let task = Task::Window { cluster: "orders".into(), window: None, confirm: None };
        let deferred = DeferredTask { response_url: url.into(), ..of_person("U3", task) };
        app.handle(as_deferred(&deferred)).await;
    }
    assert!(app.ports.sent.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_event_that_is_not_ours_does_nothing() {
    let app = app();
    for event in [
        json!({}),
        json!({ "deferred": { "task": 7 } }),
        json!({ "source": "aws.ec2" }),
        json!({ "source": "aurora-rewind" }),
        Value::Null,
    ] {
        assert_eq!(app.handle(event).await, Value::Null);
    }
    assert_nothing_happened(&app);
}

#[test]
fn an_execution_is_shown_in_the_console_of_its_partition() {
    for (partition, region, host) in [
        ("aws", "eu-west-1", "eu-west-1.console.aws.amazon.com"),
        ("aws-us-gov", "us-gov-west-1", "console.amazonaws-us-gov.com"),
        ("aws-cn", "cn-north-1", "console.amazonaws.cn"),
    ] {
        let arn = format!("arn:{partition}:states:{region}:1:execution:Rewind:my-recovery");
        let url = format!("https://{host}/states/home?region={region}#/v2/executions/details/{arn}");
        assert_eq!(console_url(&arn), Some(url));
    }
}

// ------------------------------------------------------------------------------------------------------------- resume

#[tokio::test]
async fn a_recovery_that_ended_is_resumed_by_those_who_may_start_one() {
    let app = app();
    let arn = app.ports.aws.add_running("r-1");
    // While it runs there is nothing to go on from, and the reason comes at once.
    let refused = send_line(&app, "U1", "resume r-1").await.to_string();
    assert!(refused.contains("it has not ended"), "{refused}");
    app.ports.aws.end(&arn, Status::Stopped, Value::Null);
    let denied = send_line(&app, "U2", "resume r-1").await.to_string();
    assert!(denied.contains("you may look, and not start a recovery"), "{denied}");
    assert_nothing_happened(&app);
    send_line(&app, "U1", "resume r-1 --check \"d: SELECT 1 => 1\" --name r-2").await;
    let checks = json!([{ "name": "SELECT 1", "database": "d", "sql": "SELECT 1", "expect": "1" }]);
    let request =
        json!({ "cluster": "orders", "resume": "r-1", "checks": checks, "dryRun": false, "approval": "required" });
    assert_eq!(app.ports.aws.state().started, [("r-2".to_owned(), request)]);
    // A plan of it is a dry run, with a name of its own and no word to the channel.
    send_line(&app, "U1", "resume r-1 --dry-run").await;
    let (id, request) = app.ports.aws.state().started.last().unwrap().clone();
    assert!(id.starts_with("plan-orders-") && request["dryRun"] == true, "{id}: {request}");
}
