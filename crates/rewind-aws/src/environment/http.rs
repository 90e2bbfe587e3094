//! The HTTP client of all services. Each invocation begins with new connections: those of the one before may have died while
//! Lambda froze the environment, and after a change on a dead connection nobody knows if it was made. No call outlasts the
//! invocation.

use aws_smithy_http_client::tls;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::{RuntimeComponents, RuntimeComponentsBuilder};
use aws_smithy_types::config_bag::ConfigBag;
use rewind_clock::{OutOfTime, within};
use rewind_core::timeouts;
use std::sync::{Mutex, PoisonError};

/// Makes the client of all services, with one TLS stack over ring.
pub(crate) fn client() -> SharedHttpClient {
    SharedHttpClient::new(PerInvocation(Mutex::new((rewind_clock::number(), pooling()))))
}

/// Makes a client that keeps its connections.
fn pooling() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https()
}

/// A client whose connections are kept within an invocation and dropped with it; and the invocation that it is of.
#[derive(Debug)]
struct PerInvocation(Mutex<(u64, SharedHttpClient)>);

impl PerInvocation {
    fn present(&self) -> SharedHttpClient {
        // A poisoned lock guards nothing that could be half-written: a number and a handle.
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = rewind_clock::number();
        if held.0 != number {
            *held = (number, pooling());
        }
        held.1.clone()
    }
}

impl HttpClient for PerInvocation {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(InTime(self.present().http_connector(settings, components)))
    }

    fn validate_base_client_config(
        &self,
        components: &RuntimeComponentsBuilder,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.present().validate_base_client_config(components, config)
    }

    fn validate_final_config(&self, components: &RuntimeComponents, config: &ConfigBag) -> Result<(), BoxError> {
        self.present().validate_final_config(components, config)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.present().connector_metadata()
    }
}

/// The call was held back, for nobody would have been there to read its answer.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the call was not sent: too little time is left to wait for its answer")]
pub(crate) struct NotSent;

/// No answer came within the time that the invocation had left.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("no answer came before the invocation's time was up")]
struct NotAnswered;

/// Sends calls that have time to be answered, and waits no longer than that.
#[derive(Debug)]
struct InTime(SharedHttpConnector);

impl HttpConnector for InTime {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Some(left) = rewind_clock::time_left() else { return self.0.call(request) };
        // An unsent change is certain; one that is sent and not waited for is not.
        if left < timeouts::CALL_AT_LEAST {
            return HttpConnectorFuture::ready(Err(ConnectorError::user(NotSent.into())));
        }
        let answer = within(left, self.0.call(request));
        HttpConnectorFuture::new(async move {
            answer.await.unwrap_or_else(|OutOfTime| Err(ConnectorError::timeout(NotAnswered.into())))
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::classify::{Call, classify};
    use crate::environment::{Aws, http};
    use aws_credential_types::Credentials;
    use aws_smithy_types::retry::RetryConfig;
    use aws_types::region::Region;
    use aws_types::sdk_config::SharedCredentialsProvider;
    use rewind_clock::invocation;
    use rewind_core::{ErrorName, StepError};
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Duration;

    const MINUTE: Duration = Duration::from_secs(60);

    fn aws() -> Aws {
        Aws {
            region: Region::new("us-east-1"),
            credentials: SharedCredentialsProvider::new(Credentials::new("key", "secret", None, None, "test")),
            http: http::client(),
            retries: RetryConfig::disabled(),
        }
    }

    fn client(aws: &Aws, endpoint: &str) -> aws_sdk_sns::Client {
        aws_sdk_sns::Client::new(&aws.config("SNS").to_builder().endpoint_url(endpoint).build())
    }

    /// Sends a change, and says as what it would fail.
    async fn publish(client: &aws_sdk_sns::Client) -> Result<(), StepError> {
        let sent = client.publish().topic_arn("topic").message("a").send().await;
        sent.map(drop).map_err(|error| classify(&error, Call::Change, "sns:Publish"))
    }

    /// Runs `work` as an invocation that has a minute.
    fn invoked<T>(runtime: &tokio::runtime::Runtime, work: impl Future<Output = T>) -> T {
        runtime.block_on(invocation(MINUTE, work)).expect("it ends within a minute")
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    /// A server's way with a connection after its first answer.
    #[derive(Clone, Copy, PartialEq)]
    enum Then {
        /// It is closed while the client is frozen.
        Closes,
        /// It is dead without a word, as behind a gateway that forgot it: only who sends on it is told.
        IsDead,
        /// It goes on to answer.
        Answers,
    }

    struct Server {
        endpoint: String,
        closed: Receiver<()>,
        events: Receiver<&'static str>,
    }

    impl Server {
        fn start(then: Then) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let endpoint = format!("http://{}", listener.local_addr().unwrap());
            let ((report_closed, closed), (report, events)) = (channel(), channel());
            std::thread::spawn(move || {
                while let Ok((connection, _)) = listener.accept() {
                    report.send("connection").unwrap();
                    let (report, report_closed) = (report.clone(), report_closed.clone());
                    std::thread::spawn(move || serve(connection, then, &report, &report_closed));
                }
            });
            Self { endpoint, closed, events }
        }

        /// Everything that has happened so far.
        fn seen(&self) -> Vec<&'static str> {
            self.events.try_iter().collect()
        }
    }

    fn serve(mut connection: TcpStream, then: Then, report: &Sender<&'static str>, report_closed: &Sender<()>) {
        while read_request(&mut connection) {
            report.send("request").unwrap();
            let body = "<PublishResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishResult>\
                        <MessageId>1</MessageId></PublishResult></PublishResponse>";
            write!(connection, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
            match then {
                Then::Answers => {}
                Then::Closes => {
                    drop(connection);
                    return report_closed.send(()).unwrap();
                }
                Then::IsDead => {
                    // A byte of the next request is all that it takes to be told.
                    if connection.read(&mut [0; 1]).is_ok_and(|read| read > 0) {
                        report.send("lost request").unwrap();
                    }
                    return;
                }
            }
        }
    }

    /// Reads one request to its end; false where the client has closed.
    fn read_request(connection: &mut TcpStream) -> bool {
        let mut read = Vec::new();
        let mut byte = [0; 1];
        while !read.ends_with(b"\r\n\r\n") {
            match connection.read(&mut byte) {
                Ok(1) => read.extend(byte),
                _ => return false,
            }
        }
        let head = String::from_utf8(read).unwrap().to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.trim().parse().unwrap())];
        connection.read_exact(&mut body).is_ok()
    }

    #[test]
    fn the_first_change_after_a_freeze_is_sent_once_over_a_connection_that_lives() {
        for then in [Then::Closes, Then::IsDead] {
            let (aws, server, runtime) = (aws(), Server::start(then), runtime());
            let client = client(&aws, &server.endpoint);
            invoked(&runtime, publish(&client)).unwrap();
            // Between two invocations nothing of the process runs: what the server does is not noticed.
            if then == Then::Closes {
                server.closed.recv().unwrap();
            }
            assert_eq!(server.seen(), ["connection", "request"]);
            invoked(&runtime, publish(&client)).unwrap();
            assert_eq!(server.seen(), ["connection", "request"], "another connection, and the change once");
        }
    }

    #[test]
    fn within_an_invocation_one_connection_serves_all_calls() {
        let (aws, server, runtime) = (aws(), Server::start(Then::Answers), runtime());
        let (client, other) = (client(&aws, &server.endpoint), client(&aws, &server.endpoint));
        invoked(&runtime, async {
            publish(&client).await.unwrap();
            publish(&other).await.unwrap();
            publish(&client).await.unwrap();
        });
        assert_eq!(server.seen(), ["connection", "request", "request", "request"]);
    }

    #[test]
    fn a_change_without_time_for_its_answer_is_not_sent_and_its_outcome_is_known() {
        let (aws, server, runtime) = (aws(), Server::start(Then::Answers), runtime());
        let client = client(&aws, &server.endpoint);
        let sent = runtime.block_on(invocation(Duration::from_millis(2_500), publish(&client))).unwrap();
        let error = sent.unwrap_err();
        assert_eq!((error.name, server.seen()), (ErrorName::Unavailable, vec![]), "{error}");
        assert!(error.to_string().contains("it was not sent"), "{error}");
    }

    #[test]
    fn a_change_that_is_not_answered_in_time_is_given_up_before_the_work_is_stopped() {
        // It takes the connection, and never says a word.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (aws, runtime) = (aws(), runtime());
        let client = client(&aws, &format!("http://{}", listener.local_addr().unwrap()));
        let sent = runtime.block_on(invocation(Duration::from_millis(3_300), publish(&client)));
        let error = sent.expect("it is the call that ends").unwrap_err();
        assert_eq!(error.name, ErrorName::OutcomeUnknown, "{error}");
    }
}
