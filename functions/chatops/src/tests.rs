//! The door and what is behind it, over AWS and Slack in memory: who is let in, who may do what, and what is started.

use crate::people::People;
use crate::post::Post;
use crate::secret::Secret;
use crate::signature::sign;
use crate::task::{Handed, Task};
use crate::world::{Chat, Settings, World};
use rewind_aws::Answer;
use rewind_aws::chat::{Later, Memory, SecretText};
use rewind_aws::executions::Status;
use rewind_aws::fixtures::{ManualClock, plan, time};
use rewind_client::RecoveryClient;
use rewind_client::fake::{FakeAws, NOW};
use rewind_core::{Clock, ErrorName, StepError, timeouts};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
const URL: &str = "https://hooks.slack.com/commands/T1/1/x";

struct Fake {
    aws: FakeAws,
    client: RecoveryClient<FakeAws, FakeAws, FakeAws>,
    clock: ManualClock,
    seen: Mutex<BTreeMap<String, i64>>,
    starters: Mutex<BTreeSet<(String, String)>>,
    secret: Mutex<String>,
    secret_reads: Mutex<usize>,
    broken: Mutex<bool>,
    /// True where the table does not answer at all.
    hangs: Mutex<bool>,
    handed: Mutex<Vec<Value>>,
    posted: Mutex<Vec<(String, Value)>>,
    /// How long there was for the last message.
    time_to_post: Mutex<Option<Duration>>,
}

impl World for Fake {
    type Executions = FakeAws;
    type Recoveries = FakeAws;
    type Functions = FakeAws;
    type Memory = Self;
    type Secrets = Self;
    type Later = Self;
    type Post = Self;
    type Clock = ManualClock;

    fn client(&self) -> &RecoveryClient<FakeAws, FakeAws, FakeAws> {
        &self.client
    }
    fn memory(&self) -> &Self {
        self
    }
    fn secrets(&self) -> &Self {
        self
    }
    fn later(&self) -> &Self {
        self
    }
    fn post(&self) -> &Self {
        self
    }
    fn clock(&self) -> &ManualClock {
        &self.clock
    }
}

fn broken(fake: &Fake) -> Answer<()> {
    if *fake.broken.lock().unwrap() { Err(StepError::new(ErrorName::Unavailable, "not now")) } else { Ok(()) }
}

impl Memory for Fake {
    async fn is_new(&self, what: &str, until: i64) -> Answer<bool> {
        broken(self)?;
        Ok(self.seen.lock().unwrap().insert(what.to_owned(), until).is_none())
    }
    async fn started(&self, recovery_id: &str, who: &str, _: i64) -> Answer<()> {
        if *self.hangs.lock().unwrap() {
            std::future::pending::<()>().await;
        }
        broken(self)?;
        self.starters.lock().unwrap().insert((recovery_id.to_owned(), who.to_owned()));
        Ok(())
    }
    async fn has_started(&self, recovery_id: &str, who: &str) -> Answer<bool> {
        broken(self)?;
        Ok(self.starters.lock().unwrap().contains(&(recovery_id.to_owned(), who.to_owned())))
    }
}

impl SecretText for Fake {
    async fn text(&self, _: &str) -> Answer<String> {
        if *self.hangs.lock().unwrap() {
            std::future::pending::<()>().await;
        }
        *self.secret_reads.lock().unwrap() += 1;
        Ok(self.secret.lock().unwrap().clone())
    }
}

impl Later for Fake {
    async fn later(&self, function: &str, payload: &Value) -> Answer<()> {
        assert_eq!(function, "chatops");
        broken(self)?;
        self.handed.lock().unwrap().push(payload.clone());
        Ok(())
    }
}

impl Post for Fake {
    async fn post(&self, url: &str, message: &Value) -> Result<(), StepError> {
        *self.time_to_post.lock().unwrap() = rewind_clock::time_left();
        self.posted.lock().unwrap().push((url.to_owned(), message.clone()));
        Ok(())
    }
}

/// U1 may start, U2 may decide, U3 may do both.
fn chat() -> Chat<Fake> {
    let aws = FakeAws::default();
    let world = Fake {
        client: aws.client(),
        aws,
        clock: ManualClock::at(NOW),
        seen: Mutex::default(),
        starters: Mutex::default(),
        secret: Mutex::new(
            json!({ "signingSecret": SECRET, "webhookUrl": "https://hooks.slack.com/services/w" }).to_string(),
        ),
        secret_reads: Mutex::default(),
        broken: Mutex::default(),
        hangs: Mutex::default(),
        handed: Mutex::default(),
        posted: Mutex::default(),
        time_to_post: Mutex::default(),
    };
    let people = People {
        starters: vec!["U1".into(), "U3".into()],
        approvers: vec!["U2".into(), "U3".into()],
        two_people: true,
        team: Some("T1".into()),
    };
    let settings = Settings {
        people,
        secret_arn: "arn".into(),
        function: "chatops".into(),
        response_prefix: "https://hooks.slack.com/".into(),
    };
    Chat { world, settings, secret: Secret::default() }
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

fn pressed(person: &str, task: &Task) -> String {
    let payload = json!({
        "user": { "id": person, "username": "ann" }, "team": { "id": "T1" }, "response_url": URL,
        "actions": [{ "value": serde_json::to_string(task).unwrap() }],
    });
    form_urlencoded::Serializer::new(String::new()).append_pair("payload", &payload.to_string()).finish()
}

async fn says(chat: &Chat<Fake>, person: &str, text: &str) -> Value {
    let answer = chat.called(signed(&line(person, text))).await;
    assert_eq!(answer["statusCode"], 200, "{text}: {answer}");
    serde_json::from_str(answer["body"].as_str().unwrap()).unwrap()
}

/// Does what was handed over, as the later invocation would; answers what was posted.
async fn later(chat: &Chat<Fake>) -> Value {
    let handed = chat.world.handed.lock().unwrap().pop().expect("nothing was handed over");
    assert_eq!(chat.called(handed).await, Value::Null);
    let (url, message) = chat.world.posted.lock().unwrap().pop().expect("nothing was posted");
    assert_eq!(url, URL);
    message
}

fn nothing_happened(chat: &Chat<Fake>) {
    let held = chat.world.aws.held();
    assert!(held.started.is_empty() && held.decided.is_empty() && held.called.is_empty());
    assert!(chat.world.handed.lock().unwrap().is_empty() && chat.world.posted.lock().unwrap().is_empty());
}

// --------------------------------------------------------------------------------------------------------------- door

#[tokio::test]
async fn what_is_not_signed_by_slack_now_and_for_the_first_time_is_shut_out_quickly_and_silently() {
    let chat = chat();
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
        let answer = chat.called(event.clone()).await;
        assert!(began.elapsed() < Duration::from_millis(100), "{event}");
        assert_eq!((&answer["statusCode"], &answer["body"]), (&json!(status), &json!("")), "{event}");
    }
    nothing_happened(&chat);
}

#[tokio::test]
async fn the_same_request_is_let_in_once() {
    let chat = chat();
    let event = signed(&line("U3", "start orders latest --name r-1"));
    assert_eq!(chat.called(event.clone()).await["statusCode"], 200);
    assert_eq!(chat.called(event.clone()).await["statusCode"], 409);
    // As base64, it is the same request still.
    let mut encoded = event;
    let body = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, encoded["body"].as_str().unwrap());
    encoded["body"] = json!(body);
    encoded["isBase64Encoded"] = json!(true);
    assert_eq!(chat.called(encoded).await["statusCode"], 409);
    assert_eq!(chat.world.aws.held().started.len(), 1);
    let until = *chat.world.seen.lock().unwrap().values().next().unwrap();
    assert!(until >= time(NOW).as_second() + 300, "it is forgotten before it is too old");
}

#[tokio::test]
async fn where_it_cannot_be_seen_whether_a_request_came_before_it_is_not_let_in() {
    let chat = chat();
    *chat.world.broken.lock().unwrap() = true;
    let answer = chat.called(signed(&line("U3", "start orders latest"))).await;
    assert_eq!((&answer["statusCode"], &answer["body"]), (&json!(503), &json!("")));
    nothing_happened(&chat);
}

#[tokio::test]
async fn a_replaced_secret_is_read_again_and_wrong_signatures_do_not_make_it_read_each_time() {
    let chat = chat();
    let reads = || *chat.world.secret_reads.lock().unwrap();
    says(&chat, "U3", "list").await;
    assert_eq!(reads(), 1);
    let at = |now: i64| now.to_string();
    let mut now = time(NOW).as_second();
    let by_new = |now: i64, text: &str| {
        let body = line("U3", text);
        event(&body, &at(now), &sign("new", &at(now), body.as_bytes()).unwrap())
    };
    *chat.world.secret.lock().unwrap() = json!({ "signingSecret": "new" }).to_string();
    for _ in 0..5 {
        assert_eq!(chat.called(by_new(now, "list")).await["statusCode"], 401);
    }
    assert_eq!(reads(), 1);
    chat.world.clock.sleep(Duration::from_secs(61)).await;
    now += 61;
    assert_eq!(chat.called(by_new(now, "list")).await["statusCode"], 200);
    assert_eq!(reads(), 2);
}

#[tokio::test]
async fn slack_is_answered_in_time_even_where_aws_does_not_answer() {
    let chat = chat();
    let began = Instant::now();
    // With the secret unread nobody can be let in. How long is added up elsewhere: a busy machine is slower.
    *chat.world.hangs.lock().unwrap() = true;
    assert_eq!(chat.called(signed(&line("U3", "list"))).await["statusCode"], 503);
    assert!(began.elapsed() < 3 * timeouts::SLACK_DEADLINE, "{:?}", began.elapsed());
    *chat.world.hangs.lock().unwrap() = false;
    says(&chat, "U3", "list").await;
    // With the table silent a start is handed over, and started once, under the name that was said.
    *chat.world.hangs.lock().unwrap() = true;
    let began = Instant::now();
    let answer = says(&chat, "U3", "start orders latest --name r-1").await;
    assert!(began.elapsed() < 3 * timeouts::SLACK_DEADLINE, "{:?}", began.elapsed());
    assert!(answer["text"].as_str().unwrap().contains("starting r-1"), "{answer}");
    assert!(chat.world.aws.held().started.is_empty());
    *chat.world.hangs.lock().unwrap() = false;
    later(&chat).await;
    assert_eq!(chat.world.aws.held().started.len(), 1);
}

#[tokio::test]
async fn who_waits_for_later_work_hears_of_it_even_where_it_takes_too_long() {
    let chat = chat();
    *chat.world.hangs.lock().unwrap() = true;
    let person = json!({ "team": "T1", "id": "U3", "name": "ann" });
    let task = json!({ "do": "start", "id": "r-1", "request": { "cluster": "orders", "to": "latest" } });
    let handed = json!({ "later": { "task": task, "person": person, "responseUrl": URL } });
    let time = timeouts::POST + timeouts::CALLS_END_BEFORE + Duration::from_millis(500);
    let done = rewind_clock::invocation(time, Box::pin(chat.called(handed))).await;
    assert_eq!(done, Ok(Value::Null));
    let (_, message) = chat.world.posted.lock().unwrap().pop().expect("nothing was posted");
    assert!(message["text"].as_str().unwrap().contains("may or may not be done"), "{message}");
    let time = chat.world.time_to_post.lock().unwrap().unwrap();
    assert!(time > timeouts::POST / 2, "{time:?} to tell it");
}

#[tokio::test]
async fn slack_is_answered_when_it_asks_whether_somebody_is_there() {
    assert_eq!(chat().called(signed("ssl_check=1&token=x")).await["statusCode"], 200);
}

// ------------------------------------------------------------------------------------------------------------- people

#[tokio::test]
async fn a_stranger_is_told_that_and_nothing_else() {
    let chat = chat();
    chat.world.aws.awaits("r-1");
    let mut elsewhere = line("U3", "list");
    elsewhere = elsewhere.replace("team_id=T1", "team_id=T2");
    let mut answers = vec![chat.called(signed(&elsewhere)).await];
    for text in ["", "help", "list", "status r-1", "start orders latest", "approve r-1 --hash abcdef", "nonsense --x"] {
        answers.push(chat.called(signed(&line("U9", text))).await);
    }
    for answer in answers {
        let said: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        assert_eq!(said["text"], crate::people::STRANGER);
        assert!(!said.to_string().contains("r-1") && !said.to_string().contains("orders"), "{said}");
    }
    nothing_happened(&chat);
}

#[tokio::test]
async fn who_may_not_is_told_why_and_nothing_is_done() {
    let chat = chat();
    let hash = chat.world.aws.awaits("r-1");
    for (person, text) in [
        ("U2", "start orders latest".to_owned()),
        ("U2", "orders 5m ago".to_owned()),
        ("U1", format!("approve r-1 --hash {hash}")),
        ("U1", "undo r-1 --confirm orders".to_owned()),
        ("U1", "window orders 24h".to_owned()),
    ] {
        let said = says(&chat, person, &text).await;
        assert!(said["text"].as_str().unwrap().starts_with("you may look"), "{text}: {said}");
        assert_eq!(said["response_type"], "ephemeral");
    }
    nothing_happened(&chat);
}

#[tokio::test]
async fn a_button_is_pressed_by_a_person_too() {
    let chat = chat();
    let hash = chat.world.aws.awaits("r-1");
    let decide = Task::Decide { id: "r-1".into(), approved: true, comment: None, hash };
    for (person, said) in [("U1", crate::people::APPROVERS), ("U9", crate::people::STRANGER)] {
        let answer = chat.called(signed(&pressed(person, &decide))).await;
        assert_eq!((&answer["statusCode"], &answer["body"]), (&json!(200), &json!("")));
        assert_eq!(later(&chat).await["text"], said);
    }
    assert!(chat.world.aws.held().decided.is_empty());
}

#[tokio::test]
async fn who_started_a_recovery_is_not_the_one_who_approves_it() {
    let chat = chat();
    // That somebody else asked for that name before changes nothing.
    says(&chat, "U1", "start orders soon --name r-1").await;
    says(&chat, "U3", "start orders latest --name r-1").await;
    let hash = chat.world.aws.awaits("r-1");
    let yes = Task::Decide { id: "r-1".into(), approved: true, comment: None, hash };
    chat.called(signed(&pressed("U3", &yes))).await;
    assert_eq!(later(&chat).await["text"], crate::people::TWO_PEOPLE);
    assert!(chat.world.aws.held().decided.is_empty());
    chat.called(signed(&pressed("U2", &yes))).await;
    assert_eq!(later(&chat).await["response_type"], "in_channel");
    let by = chat.world.aws.held().decided[0].1["by"].clone();
    assert_eq!(by, "ann (U2 in Slack workspace T1)");
}

#[tokio::test]
async fn who_started_it_may_still_say_no() {
    let chat = chat();
    says(&chat, "U3", "start orders latest --name r-1").await;
    let hash = chat.world.aws.awaits("r-1");
    says(&chat, "U3", &format!("reject r-1 not now --hash {hash}")).await;
    later(&chat).await;
    let decision = chat.world.aws.held().decided[0].1.clone();
    assert_eq!((&decision["decision"], &decision["comment"]), (&json!("rejected"), &json!("not now")));
}

#[tokio::test]
async fn nothing_is_started_whose_starter_cannot_be_remembered() {
    let chat = chat();
    let handed = Handed {
        task: Task::Start { id: "r-1".into(), request: json!({ "cluster": "orders", "to": "latest" }) },
        person: crate::people::Person { id: "U3".into(), name: "ann".into(), team: "T1".into() },
        response_url: URL.into(),
    };
    *chat.world.broken.lock().unwrap() = true;
    chat.called(json!({ "later": handed })).await;
    assert!(chat.world.aws.held().started.is_empty());
}

// --------------------------------------------------------------------------------------------------------------- words

#[tokio::test]
async fn a_plan_comes_at_once_with_a_button_that_starts_the_recovery_to_that_very_moment() {
    let chat = chat();
    // The dry run ends while it is waited for.
    let begun = says(&chat, "U1", "orders 5m ago").await;
    assert!(begun["text"].as_str().unwrap().contains("planning"), "{begun}");
    let id = chat.world.aws.held().started[0].0.clone();
    let arn = chat.world.client.places.recovery(&id);
    chat.world.aws.ends(&arn, Status::Succeeded, json!({ "outcome": "Planned", "plan": plan() }));
    let said = later(&chat).await;
    let button = &said["blocks"].as_array().unwrap().last().unwrap()["elements"][0];
    let task: Task = serde_json::from_str(button["value"].as_str().unwrap()).unwrap();
    let Task::Start { id, request } = &task else { panic!("{task:?}") };
    assert_eq!(
        (id.as_str(), &request["to"], &request["dryRun"]),
        ("rewind-orders-20261123-105000", &json!(plan().target.to_string()), &json!(false))
    );
    // Pressed twice, it is started once.
    for _ in 0..2 {
        chat.called(signed(&pressed("U1", &task))).await;
        chat.world.seen.lock().unwrap().clear();
        later(&chat).await;
    }
    assert_eq!(chat.world.aws.held().started.len(), 2, "the dry run and the recovery");
}

#[tokio::test]
async fn a_plan_that_was_refused_says_why() {
    let chat = chat();
    says(&chat, "U1", "orders 5m ago").await;
    let id = chat.world.aws.held().started[0].0.clone();
    let arn = chat.world.client.places.recovery(&id);
    chat.world.aws.held().executions.get_mut(&arn).unwrap().cause = Some("outside the window".into());
    chat.world.aws.ends(&arn, Status::Failed, Value::Null);
    assert_eq!(later(&chat).await["text"], "outside the window");
}

#[tokio::test]
async fn approving_without_a_hash_shows_what_there_is_to_decide_on() {
    let chat = chat();
    let hash = chat.world.aws.awaits("r-1");
    let said = says(&chat, "U2", "approve r-1 looks good").await;
    let buttons = said["blocks"].as_array().unwrap().last().unwrap()["elements"].clone();
    let tasks: Vec<Task> = buttons
        .as_array()
        .unwrap()
        .iter()
        .map(|b| serde_json::from_str(b["value"].as_str().unwrap()).unwrap())
        .collect();
    let decide =
        |approved| Task::Decide { id: "r-1".into(), approved, comment: Some("looks good".into()), hash: hash.clone() };
    assert_eq!(tasks, [decide(true), decide(false)]);
    assert!(said.to_string().contains(&hash) && !said.to_string().contains("token"));
    assert!(chat.world.aws.held().decided.is_empty());
}

#[tokio::test]
async fn each_button_says_what_it_does_where_the_cluster_itself_is_rewound_too() {
    let beside = ("orders is fenced and its traffic moves to orders-r.", "orders-r is deleted.");
    let in_place = (
        "orders itself goes back to 2026-11-23T10:30:00Z: every connection to it is cut.",
        "Nothing is changed: orders stays as it is.",
    );
    let chat = chat();
    chat.world.aws.awaits("r-1");
    chat.world.aws.awaits_in_place("r-2");
    for (id, (approve, reject)) in [("r-1", beside), ("r-2", in_place)] {
        let said = says(&chat, "U2", &format!("approve {id}")).await;
        let buttons = said["blocks"].as_array().unwrap().last().unwrap()["elements"].as_array().unwrap().clone();
        let asks: Vec<_> = buttons.iter().map(|button| button["confirm"]["text"]["text"].as_str().unwrap()).collect();
        assert_eq!(asks, [approve, reject], "{id}");
    }
}

#[tokio::test]
async fn what_cannot_be_shown_cannot_be_approved_by_a_button() {
    let chat = chat();
    chat.world.aws.awaits("r-1");
    chat.world.aws.held().records.get_mut("r-1").unwrap().approval.as_mut().unwrap().hash = "0123456789ab".into();
    let said = says(&chat, "U2", "approve r-1").await;
    let labels: Vec<_> = said["blocks"].as_array().unwrap().last().unwrap()["elements"]
        .as_array()
        .unwrap()
        .iter()
        .map(|button| button["text"]["text"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(labels, ["Reject"]);
}

#[tokio::test]
async fn taking_back_asks_first_and_then_is_begun_in_the_persons_name() {
    let chat = chat();
    chat.world.aws.recovered("r-1");
    let said = says(&chat, "U2", "undo r-1").await;
    let button = &said["blocks"].as_array().unwrap().last().unwrap()["elements"][0];
    let task: Task = serde_json::from_str(button["value"].as_str().unwrap()).unwrap();
    assert!(chat.world.aws.held().started.is_empty());
    chat.called(signed(&pressed("U2", &task))).await;
    later(&chat).await;
    let started = chat.world.aws.held().started.clone();
    assert_eq!(
        started,
        [("r-1-undo".to_owned(), json!({ "recovery": "r-1", "by": "ann (U2 in Slack workspace T1)" }))]
    );
}

#[tokio::test]
async fn a_window_is_looked_at_by_whom_it_is_known_and_set_by_approvers() {
    let chat = chat();
    says(&chat, "U1", "window orders").await;
    later(&chat).await;
    says(&chat, "U2", "window orders 24h --confirm orders").await;
    later(&chat).await;
    let called: Vec<Value> = chat.world.aws.held().called.iter().map(|(_, payload)| payload.clone()).collect();
    assert_eq!(
        called,
        [json!({ "cluster": "orders" }), json!({ "cluster": "orders", "window": "24h", "confirm": "orders" })]
    );
}

#[tokio::test]
async fn the_words_of_a_refusal_reach_the_one_who_asked() {
    let chat = chat();
    for (text, part) in [
        ("status nope", "there is no recovery nope"),
        ("start orders soon", "`to` is \"soon\""),
        ("approve nope", "there is no recovery nope"),
        ("start orders latest --colour red", "--colour"),
    ] {
        let said = says(&chat, "U3", text).await;
        assert!(said["text"].as_str().unwrap().contains(part), "{text}: {said}");
    }
}

// -------------------------------------------------------------------------------------------------------------- events

#[tokio::test]
async fn the_channel_is_asked_when_a_recovery_waits_and_told_when_it_has_ended() {
    let chat = chat();
    let hash = chat.world.aws.awaits("r-1");
    chat.world.aws.recovered("r-2");
    for id in ["r-1", "r-2"] {
        chat.called(json!({ "source": "aurora-rewind", "detail-type": "x", "detail": { "recoveryId": id } })).await;
    }
    let posted = chat.world.posted.lock().unwrap().clone();
    assert!(posted.iter().all(|(url, message)| url == "https://hooks.slack.com/services/w" && message.get("response_type").is_none()));
    assert!(posted[0].1.to_string().contains(&hash) && posted[0].1.to_string().contains("Approve"));
    assert!(posted[1].1["text"].as_str().unwrap().contains("r-2: Recovered"));
}

#[tokio::test]
async fn the_channel_is_not_told_of_a_plan_that_was_refused_to_the_one_who_asked_for_it() {
    let chat = chat();
    for (text, told) in [("orders 5m ago", 0), ("start orders 5m ago --name r-1", 1)] {
        says(&chat, "U3", text).await;
        let id = chat.world.aws.held().started.last().unwrap().0.clone();
        let arn = chat.world.client.places.recovery(&id);
        let detail = json!({ "recoveryId": id, "executionArn": arn });
        chat.called(json!({ "source": "aurora-rewind", "detail-type": "Rewind Nothing Changed", "detail": detail }))
            .await;
        assert_eq!(chat.world.posted.lock().unwrap().len(), told, "{text}");
    }
}

#[tokio::test]
async fn an_approval_that_is_announced_before_it_can_be_given_is_waited_for() {
    let chat = chat();
    chat.world.aws.runs("r-1");
    let announced = json!({
        "source": "aurora-rewind", "detail-type": "Rewind Approval Requested", "detail": { "recoveryId": "r-1" },
    });
    let before = chat.world.clock.now();
    chat.called(announced).await;
    let waited = chat.world.clock.now().duration_since(before);
    assert!(waited.unsigned_abs() >= timeouts::CHAT_APPROVAL, "{waited}");
    let (_, said) = chat.world.posted.lock().unwrap().pop().unwrap();
    assert!(said["text"].as_str().unwrap().contains("r-1: Running"));
}

#[tokio::test]
async fn an_answer_goes_to_slack_and_nowhere_else() {
    let chat = chat();
    for url in ["http://hooks.slack.com/x", "https://hooks.slack.com.evil.example/x", "https://evil.example/", ""] {
        let handed = Handed {
            task: Task::Window { cluster: "orders".into(), window: None, confirm: None },
            person: crate::people::Person { id: "U3".into(), name: "ann".into(), team: "T1".into() },
            response_url: url.into(),
        };
        chat.called(json!({ "later": handed })).await;
    }
    assert!(chat.world.posted.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_no_event_of_ours_does_nothing() {
    let chat = chat();
    for event in [
        json!({}),
        json!({ "later": { "task": 7 } }),
        json!({ "source": "aws.ec2" }),
        json!({ "source": "aurora-rewind" }),
        Value::Null,
    ] {
        assert_eq!(chat.called(event).await, Value::Null);
    }
    nothing_happened(&chat);
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
        assert_eq!(crate::work::console(&arn), Some(url));
    }
}
