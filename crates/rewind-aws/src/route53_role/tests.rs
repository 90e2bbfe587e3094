//! The requests that are sent to STS and to Route 53, and the credentials that they bear.

use super::*;
use crate::route53::{FollowChange, Move, MoveRecords, Moved};
use aws_smithy_async::time::{StaticTimeSource, TimeSource};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use rewind_core::ErrorName;
use std::time::Duration;

const ROLE_ARN: &str = "arn:aws:iam::210987654321:role/zones-for-rewind";
/// The sessions that STS gives here end at 2026-11-23T10:50:00Z.
const BEGAN: u64 = 1_795_430_100;

/// The other end of the wire: STS with one answer, and Route 53. Keeps what came: host, key and body.
#[derive(Debug, Clone)]
struct Wire {
    sts: (u16, &'static str),
    seen: Arc<Mutex<Vec<(String, String, String)>>>,
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let host = request.uri().split('/').nth(2).unwrap_or_default().to_owned();
        let signed = request.headers().get("authorization").unwrap_or_default();
        let key = signed.split(['=', '/']).nth(1).unwrap_or_default().to_owned();
        let body = String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned();
        let (status, answer) = match (host.split('.').next(), request.method()) {
            (Some("sts"), _) => (self.sts.0, self.sts.1.to_owned()),
            (_, "GET") => (200, CHANGE.to_owned()),
            _ => (200, CHANGE.replace("GetChange", "ChangeResourceRecordSets")),
        };
        self.seen.lock().unwrap().push((host, key, body));
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status.try_into().unwrap(), SdkBody::from(answer))))
    }
}

const ASSUMED: &str = "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
    <AccessKeyId>ASIATHERE</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken>\
    <Expiration>2026-11-23T10:50:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>";
const DENIED: &str = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
    <Code>AccessDenied</Code><Message>User: arn:aws:sts::123456789012:assumed-role/swap-dns is not authorized to perform: \
    sts:AssumeRole on resource: arn:aws:iam::210987654321:role/zones-for-rewind</Message></Error></ErrorResponse>";
const UNAVAILABLE: &str = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Receiver</Type>\
    <Code>ServiceUnavailable</Code><Message>later</Message></Error></ErrorResponse>";
const THROTTLED: &str = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
    <Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>";
const CHANGE: &str = "<GetChangeResponse xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><ChangeInfo>\
    <Id>/change/C1</Id><Status>INSYNC</Status><SubmittedAt>2026-11-23T10:35:00Z</SubmittedAt></ChangeInfo></GetChangeResponse>";

impl Wire {
    fn new(status: u16, sts: &'static str) -> Self {
        Self { sts: (status, sts), seen: Arc::default() }
    }

    /// A client of an environment at `seconds` after it began.
    fn client(&self, role: Option<&str>, time: impl TimeSource + 'static) -> Route53 {
        let wire = self.clone();
        let aws = Aws::for_test(http_client_fn(move |_, _| SharedHttpConnector::new(wire.clone())));
        Route53::through(
            &aws,
            role.map(ToOwned::to_owned),
            "rewind-SwapDnsFunction-1".to_owned(),
            SharedTimeSource::new(time),
        )
    }

    fn hosts(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|(host, ..)| host.clone()).collect()
    }
}

fn at(seconds: u64) -> StaticTimeSource {
    StaticTimeSource::from_secs(BEGAN + seconds)
}

/// A clock that is set while others look at it.
#[derive(Debug, Clone)]
struct Watch(Arc<Mutex<u64>>);

impl TimeSource for Watch {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(BEGAN + *self.0.lock().unwrap())
    }
}

async fn move_a_record(client: &Route53) -> AwsResult<Moved> {
    let (from, to) = ("old.example.com".to_owned(), "new.example.com".to_owned());
    client.move_records("Z1", &[Move { name: "db.example.com".to_owned(), ttl: 5, from, to }], "a test").await
}

#[tokio::test]
async fn without_a_role_route_53_is_called_with_the_functions_own_credentials_and_sts_is_not() {
    let wire = Wire::new(200, ASSUMED);
    assert!(wire.client(None, at(0)).in_sync("C1").await.unwrap());
    let seen = wire.seen.lock().unwrap();
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].0.as_str(), seen[0].1.as_str()), ("route53.amazonaws.com", "AKIAHERE"));
}

#[tokio::test]
async fn a_role_is_assumed_in_the_functions_region_and_its_credentials_sign_what_route_53_gets() {
    let wire = Wire::new(200, ASSUMED);
    assert!(wire.client(Some(ROLE_ARN), at(0)).in_sync("C1").await.unwrap());
    let seen = wire.seen.lock().unwrap();
    let who: Vec<_> = seen.iter().map(|(host, key, _)| (host.as_str(), key.as_str())).collect();
    assert_eq!(who, [("sts.eu-west-1.amazonaws.com", "AKIAHERE"), ("route53.amazonaws.com", "ASIATHERE")]);
    for part in [
        "Action=AssumeRole",
        "RoleArn=arn%3Aaws%3Aiam%3A%3A210987654321%3Arole%2Fzones-for-rewind",
        "RoleSessionName=rewind-SwapDnsFunction-1",
        "DurationSeconds=900",
    ] {
        assert!(seen[0].2.contains(part), "{part} is not in {}", seen[0].2);
    }
}

#[tokio::test]
async fn a_role_is_assumed_once_and_again_before_its_session_ends() {
    let (wire, watch) = (Wire::new(200, ASSUMED), Watch(Arc::default()));
    let client = wire.client(Some(ROLE_ARN), watch.clone());
    for seconds in [0, 300, 779] {
        *watch.0.lock().unwrap() = seconds;
        // A copy is of the same environment.
        assert!(client.clone().in_sync("C1").await.unwrap());
    }
    assert_eq!(wire.hosts().iter().filter(|host| host.starts_with("sts.")).count(), 1);
    *watch.0.lock().unwrap() = 780;
    assert!(client.in_sync("C1").await.unwrap());
    assert_eq!(wire.hosts().iter().filter(|host| host.starts_with("sts.")).count(), 2);
}

#[tokio::test]
async fn a_role_that_does_not_admit_the_function_ends_the_step_with_what_its_trust_policy_must_allow() {
    let wire = Wire::new(403, DENIED);
    let client = wire.client(Some(ROLE_ARN), at(0));
    let error = move_a_record(&client).await.unwrap_err();
    // No OutcomeUnknown: nothing was sent that could have changed a record.
    assert_eq!(error.name, ErrorName::RewindFailed);
    let message = error.to_string();
    for part in [
        "sts:AssumeRole of arn:aws:iam::210987654321:role/zones-for-rewind: AWS answered AccessDenied: User: arn:aws:sts::123456789012",
        "no record was read or changed",
        "the trust policy of arn:aws:iam::210987654321:role/zones-for-rewind must admit the role of this function",
    ] {
        assert!(message.contains(part), "{part} is not in {message}");
    }
    assert_eq!(wire.hosts(), ["sts.eu-west-1.amazonaws.com"]);
}

#[tokio::test]
async fn a_change_is_signed_by_the_role_too() {
    let wire = Wire::new(200, ASSUMED);
    let client = wire.client(Some(ROLE_ARN), at(0));
    assert_eq!(move_a_record(&client).await.unwrap(), Moved::Accepted("/change/C1".to_owned()));
    let seen = wire.seen.lock().unwrap();
    assert_eq!((seen[1].1.as_str(), seen[1].2.contains("<Action>CREATE</Action>")), ("ASIATHERE", true));
}

#[tokio::test]
async fn sts_that_does_not_work_for_now_leaves_no_doubt_about_the_records_and_may_be_asked_again() {
    for (status, answer, name) in [(503, UNAVAILABLE, ErrorName::Unavailable), (400, THROTTLED, ErrorName::Throttled)] {
        let wire = Wire::new(status, answer);
        let error = move_a_record(&wire.client(Some(ROLE_ARN), at(0))).await.unwrap_err();
        assert_eq!(error.name, name, "{error}");
        assert!(error.to_string().contains("no record was read or changed"), "{error}");
    }
}
