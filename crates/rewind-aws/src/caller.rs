//! The identity of a caller: a request of `sts:GetCallerIdentity` that is signed by one and sent by another, and names the act that it is signed for.

use crate::classify::{Call, classify};
use crate::{Aws, AwsResult};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use rewind_core::{CallerProof, ErrorName, StepError, VerifyCallers};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The header that names the act. It is signed: without it whatever somebody signed for others would do here.
const ACT: &str = "x-aurora-rewind";
/// The most bytes of all headers of a proof: a session's token has some thousands.
const PROOF_MAX: usize = 16 * 1024;

/// Signs a proof of its caller.
pub trait SignCaller: Send + Sync {
    /// Signs a proof for this act; none where there is nobody to be shown.
    fn sign_caller(&self, act: &str) -> impl Future<Output = AwsResult<Option<CallerProof>>> + Send;
}

/// Nobody: chat, events and alarms show otherwise who acts, or not at all.
impl SignCaller for () {
    async fn sign_caller(&self, _: &str) -> AwsResult<Option<CallerProof>> {
        Ok(None)
    }
}

/// The request was signed and is kept back.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the request was not sent")]
struct KeptBack;

#[derive(Debug, Clone, Default)]
struct Signed(Arc<Mutex<Option<BTreeMap<String, String>>>>);

impl HttpConnector for Signed {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let headers = request.headers().iter().map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(headers.collect());
        HttpConnectorFuture::ready(Err(ConnectorError::user(KeptBack.into())))
    }
}

impl SignCaller for Aws {
    /// IAM: `sts:GetCallerIdentity`, which is always allowed.
    async fn sign_caller(&self, act: &str) -> AwsResult<Option<CallerProof>> {
        let signed = Signed::default();
        let kept = signed.clone();
        let http = http_client_fn(move |_, _| SharedHttpConnector::new(kept.clone()));
        let client = aws_sdk_sts::Client::new(&self.config("STS").into_builder().http_client(http).build());
        let act = act.to_owned();
        let request = client.get_caller_identity().customize().mutate_request(move |request| {
            request.headers_mut().insert(ACT, act.clone());
        });
        let sent = request.send().await;
        let headers = signed.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (headers, sent) {
            (Some(headers), _) => Ok(Some(CallerProof(headers))),
            (None, Err(error)) => Err(classify(&error, Call::Read, "sts:GetCallerIdentity")),
            (None, Ok(_)) => Err(StepError::bug("a request was answered and never sent")),
        }
    }
}

/// Verifies proofs by sending them to STS, at the endpoint of this function's Region.
#[derive(Debug, Clone)]
pub struct Callers(Aws);

impl Callers {
    /// Sends them as this environment sends its own calls.
    pub fn new(aws: &Aws) -> Self {
        Self(aws.clone())
    }
}

/// Sends a request with the headers of a proof in place of its own.
#[derive(Debug)]
struct InTheNameOf(BTreeMap<String, String>, SharedHttpConnector);

impl HttpConnector for InTheNameOf {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        let own: Vec<String> = request.headers().iter().map(|(name, _)| name.to_owned()).collect();
        for name in own {
            request.headers_mut().remove(&name);
        }
        for (name, value) in &self.0 {
            if request.headers_mut().try_insert(name.clone(), value.clone()).is_err() {
                return HttpConnectorFuture::ready(Err(ConnectorError::user(KeptBack.into())));
            }
        }
        self.1.call(request)
    }
}

impl VerifyCallers for Callers {
    /// IAM: `sts:GetCallerIdentity`, which is always allowed.
    async fn caller(&self, proof: &CallerProof, act: &str) -> AwsResult<Option<String>> {
        let Some(headers) = headers_for(proof, act) else { return Ok(None) };
        let config = self.0.config("STS");
        let Some(inner) = config.http_client() else { return Err(StepError::bug("there is no HTTP client")) };
        let http = http_client_fn(move |settings, components| {
            SharedHttpConnector::new(InTheNameOf(headers.clone(), inner.http_connector(settings, components)))
        });
        let client = aws_sdk_sts::Client::new(&config.into_builder().http_client(http).build());
        match client.get_caller_identity().send().await {
            Ok(caller) => Ok(caller.arn),
            Err(error) => {
                let error = classify(&error, Call::Read, "sts:GetCallerIdentity of whoever signed it");
                match error.name {
                    // Whoever it is stays unknown only where STS refuses: its silence is waited out.
                    ErrorName::Throttled | ErrorName::Unavailable => Err(error),
                    _ => {
                        tracing::warn!(detail = error.for_log(), "a proof was refused: {error}");
                        Ok(None)
                    }
                }
            }
        }
    }
}

/// The headers to send; none where the proof is not for this act, or holds what no proof has.
fn headers_for(proof: &CallerProof, act: &str) -> Option<BTreeMap<String, String>> {
    let CallerProof(headers) = proof;
    let size: usize = headers.iter().map(|(name, value)| name.len().saturating_add(value.len())).sum();
    let is_ours = headers.get(ACT).is_some_and(|signed| signed == act);
    let signed = headers.get("authorization").and_then(|value| signed_headers(value)).unwrap_or_default();
    // A line break would begin another header, and no signature is over such a value.
    let is_plain = headers.values().all(|value| value.bytes().all(|byte| matches!(byte, b' '..=b'~')));
    // An act that is not under the signature could be written beside any.
    if !is_plain || size > PROOF_MAX || !is_ours || !signed.contains(&ACT) {
        return None;
    }
    // Where it goes, and how long it is, is for the connector to write.
    let is_sent =
        |name: &str| name == "authorization" || (signed.contains(&name) && !matches!(name, "host" | "content-length"));
    Some(headers.iter().filter(|(name, _)| is_sent(name)).map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// The names in `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=a;b, Signature=…`.
fn signed_headers(authorization: &str) -> Option<Vec<&str>> {
    let parts = authorization.strip_prefix("AWS4-HMAC-SHA256 ")?.split(',').map(str::trim);
    let mut named = parts.filter_map(|part| part.strip_prefix("SignedHeaders="));
    // Two lists would be one for this function and another for STS.
    let (first, second) = (named.next()?, named.next());
    second.is_none().then(|| first.split(';').collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
    use aws_smithy_types::body::SdkBody;

    const ANN: &str = "arn:aws:iam::1:user/ann";
    const SENT: &str = "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
         <Arn>arn:aws:iam::1:user/ann</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>";

    /// STS with one answer, which keeps what was sent to it.
    #[derive(Debug, Clone)]
    struct Wire(u16, &'static str, Arc<Mutex<Vec<Sent>>>);

    /// The headers and the body of a request.
    type Sent = (BTreeMap<String, String>, String);

    impl HttpConnector for Wire {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            let headers = request.headers().iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            let body = String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned();
            self.2.lock().unwrap().push((headers, body));
            HttpConnectorFuture::ready(Ok(HttpResponse::new(self.0.try_into().unwrap(), SdkBody::from(self.1))))
        }
    }

    fn aws(wire: &Wire) -> Aws {
        let wire = wire.clone();
        Aws::for_test(http_client_fn(move |_, _| SharedHttpConnector::new(wire.clone())))
    }

    fn wire(status: u16, body: &'static str) -> Wire {
        Wire(status, body, Arc::default())
    }

    #[tokio::test]
    async fn a_proof_is_signed_here_and_sent_there_under_the_same_signature() {
        let nothing = wire(500, "");
        let proof = aws(&nothing).sign_caller("approve r-1 3fa9c1d20b7e").await.unwrap().unwrap();
        assert!(nothing.2.lock().unwrap().is_empty(), "it is signed, and not sent");
        let sts = wire(200, SENT);
        let caller = Callers::new(&aws(&sts)).caller(&proof, "approve r-1 3fa9c1d20b7e").await;
        assert_eq!(caller, Ok(Some(ANN.to_owned())));
        let (headers, body) = sts.2.lock().unwrap()[0].clone();
        assert_eq!(body, "Action=GetCallerIdentity&Version=2011-06-15");
        assert_eq!(headers.get("authorization"), proof.0.get("authorization"));
        for name in signed_headers(&headers["authorization"]).unwrap() {
            // Those two are of the connection.
            if !matches!(name, "host" | "content-length") {
                assert_eq!(headers.get(name), proof.0.get(name), "{name}");
            }
        }
    }

    #[tokio::test]
    async fn what_was_signed_for_another_act_or_for_none_is_not_even_sent() {
        let nothing = wire(500, "");
        let proof = aws(&nothing).sign_caller("start r-1 00").await.unwrap().unwrap();
        let with = |name: &str, value: &str| {
            let mut other = proof.clone();
            other.0.insert(name.to_owned(), value.to_owned());
            other
        };
        let signature = &proof.0["authorization"];
        // What somebody signed for another service: the act is written beside it.
        let beside = with("authorization", &signature.replace(";x-aurora-rewind", ""));
        let twice = with("authorization", &format!("{signature}, SignedHeaders=host;x-amz-date"));
        let large = with("x-amz-security-token", &"x".repeat(PROOF_MAX));
        for (name, proof, act) in [
            ("another act", &proof, "approve r-1 00"),
            ("an act beside the signature", &beside, "start r-1 00"),
            ("two lists", &twice, "start r-1 00"),
            ("more than a proof", &large, "start r-1 00"),
            ("nothing", &CallerProof(BTreeMap::new()), "start r-1 00"),
        ] {
            let sts = wire(200, SENT);
            assert_eq!(Callers::new(&aws(&sts)).caller(proof, act).await, Ok(None), "{name}");
            assert!(sts.2.lock().unwrap().is_empty(), "{name}");
        }
        // A line break in a value would be another header.
        let broken = with("x-amz-date", "a\r\nx-amz-target: b");
        assert_eq!(Callers::new(&aws(&wire(200, SENT))).caller(&broken, "start r-1 00").await, Ok(None));
    }

    #[tokio::test]
    async fn whom_sts_refuses_is_nobody_and_its_silence_is_waited_out() {
        let proof = aws(&wire(500, "")).sign_caller("start r-1 00").await.unwrap().unwrap();
        let refused = "<ErrorResponse><Error><Type>Sender</Type><Code>SignatureDoesNotMatch</Code><Message>no</Message></Error></ErrorResponse>";
        assert_eq!(Callers::new(&aws(&wire(403, refused))).caller(&proof, "start r-1 00").await, Ok(None));
        let error = Callers::new(&aws(&wire(503, ""))).caller(&proof, "start r-1 00").await.unwrap_err();
        assert_eq!(error.name, ErrorName::Unavailable);
    }
}
