//! The stack's name server: authoritative for Route 53's hosted zones and for the cluster endpoints, over UDP and TCP.
//!
//! It never forwards a question: what is not of this stack is refused.

mod answer;
mod route53;
mod zone;

pub use answer::Endpoints;
use answer::{Answer, answer, endpoint_answer};
use hickory_server::Server;
use hickory_server::net::runtime::Time;
use hickory_server::proto::op::{Edns, Header, HeaderCounts, MessageType, Metadata, OpCode, ResponseCode};
use hickory_server::proto::rr::DNSClass;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;
use route53::Route53Zones;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, UdpSocket};

/// A TCP client that asks nothing for so long is let go.
const TCP_IDLE: Duration = Duration::from_secs(10);
/// Bytes of answers that may wait for a slow TCP client.
const TCP_BUFFER: usize = 64 * 1024;
/// Larger UDP answers would be fragmented; a client asks again by TCP.
const UDP_PAYLOAD: u16 = 1232;

/// A name server that listens.
pub struct DnsServer {
    server: Server<Handler>,
    local_addr: SocketAddr,
}

impl DnsServer {
    /// Listens on `address` by UDP and TCP, and answers from then on.
    ///
    /// # Errors
    ///
    /// When the address is taken.
    pub async fn start(
        address: SocketAddr,
        endpoints: impl Endpoints,
        route53: aws_sdk_route53::Client,
    ) -> io::Result<Self> {
        let udp = UdpSocket::bind(address).await?;
        let local_addr = udp.local_addr()?;
        // On the port that UDP got: with port 0 the two would get different ones, and a truncated answer is asked for again by TCP.
        let tcp = TcpListener::bind(local_addr).await?;
        let handler = Handler { endpoints: Box::new(endpoints), zones: Route53Zones::new(route53) };
        let mut server = Server::new(handler);
        server.register_socket(udp);
        server.register_listener(tcp, TCP_IDLE, TCP_BUFFER);
        Ok(Self { server, local_addr })
    }

    /// The address that it listens on: with the port that was found, when 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Answers until a socket fails.
    ///
    /// # Errors
    ///
    /// The failure of that socket.
    pub async fn run(mut self) -> io::Result<()> {
        self.server.block_until_done().await.map_err(io::Error::other)
    }
}

struct Handler {
    endpoints: Box<dyn Endpoints>,
    zones: Route53Zones,
}

impl Handler {
    async fn answer(&self, request: &Request) -> Answer {
        if request.metadata.message_type != MessageType::Query {
            return Answer::bare(ResponseCode::FormErr);
        }
        if request.metadata.op_code != OpCode::Query {
            return Answer::bare(ResponseCode::NotImp);
        }
        let Ok(info) = request.request_info() else { return Answer::bare(ResponseCode::FormErr) };
        if info.query.query_class() != DNSClass::IN {
            return Answer::bare(ResponseCode::Refused);
        }
        // The asker's own spelling is kept: some clients check that it comes back.
        let (name, kind) = (&info.query.original().name, info.query.query_type());
        // Before the zones are read: databases stay reachable by their endpoints while Route 53 is slow or away.
        if let Some(answer) = endpoint_answer(&*self.endpoints, name, kind) {
            return answer;
        }
        match self.zones.read().await {
            Ok(zones) => answer(&zones, &*self.endpoints, name, kind),
            // Never NXDOMAIN: a client would believe that the record is gone, and a test that it was deleted.
            Err(error) => {
                tracing::warn!(%error, %name, "answering SERVFAIL");
                Answer::bare(ResponseCode::ServFail)
            }
        }
    }
}

#[async_trait::async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, request: &Request, mut response: R) -> ResponseInfo {
        let mut answer = self.answer(request).await;
        let edns = request.edns.as_ref().map(|asked| {
            let mut edns = Edns::new();
            edns.set_max_payload(asked.max_payload().clamp(512, UDP_PAYLOAD)).set_version(0);
            edns
        });
        if request.edns.as_ref().is_some_and(|asked| asked.version() > 0) {
            answer = Answer::bare(ResponseCode::BADVERS);
        }
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.response_code = answer.code;
        metadata.authoritative = answer.authoritative;
        // It follows aliases across zones, as a resolver does; without the flag dig warns and some clients ask on.
        metadata.recursion_available = metadata.recursion_desired && answer.code != ResponseCode::Refused;
        let builder = MessageResponseBuilder::new(&request.queries, edns.as_ref());
        let message = builder.build(metadata, &answer.records, [], answer.soa.as_ref(), []);
        match response.send_response(message).await {
            Ok(info) => info,
            Err(error) => {
                tracing::warn!(%error, to = %request.src(), "an answer could not be sent");
                metadata.response_code = ResponseCode::ServFail;
                ResponseInfo::from(Header { metadata, counts: HeaderCounts::default() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_server::proto::op::{Message, Query};
    use hickory_server::proto::rr::{Name, RecordType};
    use std::net::Ipv4Addr;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    /// A server whose Route 53 does not answer.
    async fn server() -> SocketAddr {
        let nobody = aws_sdk_route53::Config::builder()
            .behavior_version(aws_sdk_route53::config::BehaviorVersion::v2026_01_12())
            .region(aws_sdk_route53::config::Region::from_static("eu-west-1"))
            .endpoint_url("http://127.0.0.1:1")
            .retry_config(aws_sdk_route53::config::retry::RetryConfig::disabled())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        let endpoints = |name: &str| (name == "c.x.rds.amazonaws.com").then_some(Ipv4Addr::new(127, 1, 2, 3));
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = DnsServer::start(any, endpoints, aws_sdk_route53::Client::from_conf(nobody)).await.unwrap();
        let address = server.local_addr();
        tokio::spawn(server.run());
        address
    }

    fn question(name: &str) -> Vec<u8> {
        let mut message = Message::query();
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
        message.to_vec().unwrap()
    }

    async fn udp(server: SocketAddr, name: &str) -> Message {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.send_to(&question(name), server).await.unwrap();
        let mut answer = [0; 1232];
        let length = socket.recv(&mut answer).await.unwrap();
        Message::from_vec(&answer[..length]).unwrap()
    }

    async fn tcp(server: SocketAddr, name: &str) -> Message {
        let mut stream = TcpStream::connect(server).await.unwrap();
        let question = question(name);
        stream.write_u16(question.len().try_into().unwrap()).await.unwrap();
        stream.write_all(&question).await.unwrap();
        let mut answer = vec![0; stream.read_u16().await.unwrap().into()];
        stream.read_exact(&mut answer).await.unwrap();
        Message::from_vec(&answer).unwrap()
    }

    #[tokio::test]
    async fn endpoints_are_answered_by_udp_and_tcp_even_while_route_53_is_away() {
        let server = server().await;
        for answer in [udp(server, "C.x.rds.amazonaws.com.").await, tcp(server, "C.x.rds.amazonaws.com.").await] {
            assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
            assert!(answer.metadata.authoritative);
            let lines: Vec<_> = answer.answers.iter().map(ToString::to_string).collect();
            assert_eq!(lines, ["C.x.rds.amazonaws.com. 5 IN A 127.1.2.3"]);
        }
    }

    #[tokio::test]
    async fn hosted_zones_that_cannot_be_read_are_a_failure_and_never_a_missing_name() {
        let server = server().await;
        assert_eq!(udp(server, "db.example.com.").await.metadata.response_code, ResponseCode::ServFail);
        assert_eq!(tcp(server, "db.example.com.").await.metadata.response_code, ResponseCode::ServFail);
    }
}
