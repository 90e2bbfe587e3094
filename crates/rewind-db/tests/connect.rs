//! Getting in: TLS, logins, names, and servers that are dead in one way or another.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where something is not as it should be"
)]

mod support;

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, CNAME};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rewind_core::Engine;
use rewind_core::{ErrorName, StepError, Tls};
use rewind_db::{ConnectError, Network, Server, Settings, Target, server_identity};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::{Directory, MASTER, MASTER_PASSWORD, Postgres, credential, master, network};
use tokio::net::UdpSocket;

const ENDPOINT: &str = "my-aurora-cluster.cluster-abc.eu-west-1.rds.amazonaws.com";
const RECORD: &str = "db.example.com";

/// An authority, and a server certificate of its for `ENDPOINT`.
struct Authority {
    pem: String,
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![ENDPOINT.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        Self { pem: issuer.pem(), certificate: certificate.pem(), key: key.serialize_pem() }
    }

    fn server(&self) -> Postgres {
        Postgres::start_with(&[], Some((&self.certificate, &self.key)))
    }
}

/// A name server that answers from a list which a test can change: a value that is no address is a CNAME's.
#[derive(Clone)]
struct Names {
    address: SocketAddr,
    records: Arc<Mutex<Vec<(String, String)>>>,
}

impl Names {
    async fn serve(records: &[(&str, &str)]) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let names = Self { address: socket.local_addr().unwrap(), records: Arc::default() };
        names.set(records);
        let served = names.clone();
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
                let question = Message::from_vec(&buffer[..length]).unwrap();
                socket.send_to(&served.answer(&question).to_vec().unwrap(), client).await.unwrap();
            }
        });
        names
    }

    fn set(&self, records: &[(&str, &str)]) {
        *self.records.lock().unwrap() = records.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    }

    fn answer(&self, question: &Message) -> Message {
        let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
        let query = question.queries[0].clone();
        let mut at = query.name().to_utf8().trim_end_matches('.').to_ascii_lowercase();
        let records = self.records.lock().unwrap();
        while let Some((name, value)) = records.iter().find(|(name, _)| *name == at) {
            let owner = Name::from_utf8(format!("{name}.")).unwrap();
            match value.parse::<Ipv4Addr>() {
                Ok(address) => {
                    if query.query_type() == RecordType::A {
                        answer.add_answer(Record::from_rdata(owner, 300, RData::A(A(address))));
                    }
                    break;
                }
                Err(_) => {
                    let target = Name::from_utf8(format!("{value}.")).unwrap();
                    answer.add_answer(Record::from_rdata(owner, 300, RData::CNAME(CNAME(target))));
                    at.clone_from(value);
                }
            }
        }
        if answer.answers.is_empty() {
            answer.metadata.response_code = ResponseCode::NXDomain;
        }
        answer.add_query(query);
        answer
    }
}

fn with(names: Option<&Names>, bundle: Option<&str>, directory: &Directory) -> Network {
    let ca_bundle = bundle.map(|pem| {
        let path = directory.0.join("ca.pem");
        std::fs::write(&path, pem).unwrap();
        path
    });
    Network::new(Settings { dns_server: names.map(|names| names.address), ca_bundle, ..Settings::default() }).unwrap()
}

fn names_of(server: &Postgres) -> [(String, String); 2] {
    [(RECORD.to_owned(), ENDPOINT.to_owned()), (ENDPOINT.to_owned(), server.address.to_string())]
}

async fn serve(server: &Postgres) -> Names {
    let records = names_of(server);
    let records: Vec<_> = records.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    Names::serve(&records).await
}

fn failure(error: ConnectError) -> StepError {
    match error {
        ConnectError::Failed(error) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_certificate_is_verified_for_the_endpoint_also_when_it_is_reached_by_a_cname() {
    let (authority, directory) = (Authority::new(), Directory::new("ca"));
    let server = authority.server();
    let names = serve(&server).await;
    let network = with(Some(&names), Some(&authority.pem), &directory);

    let endpoint = Target::new(Engine::AuroraPostgresql, ENDPOINT, server.port);
    let session = network.connect(&endpoint, &master(), "postgres").await.unwrap();
    assert_eq!(session.tls(), Tls::Verified);
    assert_eq!(session.address().unwrap(), SocketAddr::new(server.address, server.port));

    let by_name = network.connect(&endpoint.clone().by_name(RECORD), &master(), "postgres").await.unwrap();
    assert_eq!(by_name.tls(), Tls::Verified);

    // The record's own name is in no certificate of RDS.
    let error = failure(
        network
            .connect(&Target::new(Engine::AuroraPostgresql, RECORD, server.port), &master(), "postgres")
            .await
            .unwrap_err(),
    );
    assert_eq!(error.name, ErrorName::Unavailable);
    assert!(error.to_string().contains("certificate"), "{error}");
}

#[tokio::test]
async fn with_a_bundle_neither_another_authority_nor_a_server_without_tls_gets_the_password() {
    let (authority, other, directory) = (Authority::new(), Authority::new(), Directory::new("ca"));
    let server = authority.server();
    let names = serve(&server).await;
    let network = with(Some(&names), Some(&other.pem), &directory);
    let target = Target::new(Engine::AuroraPostgresql, ENDPOINT, server.port);
    let error = failure(network.connect(&target, &master(), "postgres").await.unwrap_err());
    assert!(error.to_string().contains("TLS handshake"), "{error}");

    let plain = Postgres::start();
    let error = failure(network.connect(&plain.target(), &master(), "postgres").await.unwrap_err());
    assert!(error.to_string().contains("does not support TLS"), "{error}");
}

#[tokio::test]
async fn without_a_bundle_the_session_is_encrypted_where_the_server_can_and_reports_it() {
    let (authority, directory) = (Authority::new(), Directory::new("ca"));
    let network = with(None, None, &directory);
    let encrypted = authority.server();
    let session = network.connect(&encrypted.target(), &master(), "postgres").await.unwrap();
    assert_eq!(session.tls(), Tls::Encrypted);
    let ssl = "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'postgres'";
    assert_eq!(encrypted.sql("postgres", ssl), "t");

    let plain = Postgres::start();
    let (server, session) = Server::connect(&network, &plain.target(), &[master()], "postgres").await.unwrap();
    assert_eq!(session.tls(), Tls::None);
    assert_eq!(server.login().tls, Tls::None);
}

#[tokio::test]
async fn the_first_login_that_works_is_taken_and_named() {
    let server = Postgres::start();
    let candidates = [
        credential(MASTER, "rotated-since", "AWSCURRENT"),
        credential("nobody", MASTER_PASSWORD, "an-id"),
        credential(MASTER, MASTER_PASSWORD, "AWSPREVIOUS"),
        credential(MASTER, "never-tried", "AWSPENDING"),
    ];
    let (found, _session) = Server::connect(&network(), &server.target(), &candidates, "postgres").await.unwrap();
    let login = found.login();
    assert_eq!((login.user.as_str(), login.secret_version.as_str()), (MASTER, "AWSPREVIOUS"));
    found.open("template1").await.unwrap();
}

#[tokio::test]
async fn when_no_login_works_every_version_is_named_and_no_password() {
    let server = Postgres::start();
    let candidates = [credential(MASTER, "wrong-1", "AWSCURRENT"), credential(MASTER, "wrong-2", "AWSPREVIOUS")];
    let error = Server::connect(&network(), &server.target(), &candidates, "postgres").await.unwrap_err();
    assert!(matches!(error, ConnectError::LoginRefused(_)), "{error:?}");
    let text = StepError::from(error).to_string();
    assert!(text.contains("AWSCURRENT") && text.contains("AWSPREVIOUS") && !text.contains("wrong-"), "{text}");
}

#[tokio::test]
async fn other_refusals_do_not_try_the_next_login_and_are_told_apart() {
    let server = Postgres::start().with_application();
    server.sql("postgres", "REVOKE CONNECT ON DATABASE postgres FROM PUBLIC");
    server.sql("postgres", "CREATE DATABASE full_up CONNECTION LIMIT 0");
    server.sql("postgres", "CREATE DATABASE shut ALLOW_CONNECTIONS false");
    server.sql("postgres", "CREATE DATABASE legacy OWNER postgres");
    server.half_drop("legacy");
    let network = network();
    let app = credential("app", support::APP_PASSWORD, "AWSCURRENT");
    let connect = async |database: &str| {
        Server::connect(&network, &server.target(), &[app.clone(), master()], database).await.map(drop).unwrap_err()
    };
    assert!(matches!(connect("no_such_database").await, ConnectError::DatabaseMissing(_)));
    assert!(matches!(connect("full_up").await, ConnectError::DatabaseFull(_)));
    assert!(matches!(connect("postgres").await, ConnectError::NotAllowed(_)));
    assert!(matches!(connect("shut").await, ConnectError::NotAllowed(_)));
    assert!(matches!(connect("legacy").await, ConnectError::DatabaseInvalid(_)));
}

#[tokio::test]
async fn names_are_resolved_afresh_each_time_with_the_chain_they_lead_through() {
    let directory = Directory::new("ca");
    let names = Names::serve(&[(RECORD, "old.example.com"), ("old.example.com", "127.0.0.7")]).await;
    let network = with(Some(&names), None, &directory);
    let before = network.resolve(RECORD).await.unwrap();
    assert!(before.leads_to("old.example.com") && !before.leads_to("new.example.com"));
    assert_eq!(before.addresses, ["127.0.0.7".parse::<IpAddr>().unwrap()]);
    // Five minutes' TTL notwithstanding.
    names.set(&[(RECORD, "new.example.com"), ("new.example.com", "127.0.0.8")]);
    let after = network.resolve(RECORD).await.unwrap();
    assert_eq!(after.chain, ["new.example.com"]);
    assert_eq!(after.addresses, ["127.0.0.8".parse::<IpAddr>().unwrap()]);
    names.set(&[]);
    assert!(network.resolve(RECORD).await.unwrap().addresses.is_empty());
    let error = failure(
        network.connect(&Target::new(Engine::AuroraPostgresql, RECORD, 5432), &master(), "postgres").await.unwrap_err(),
    );
    assert_eq!(error.name, ErrorName::Unavailable);
    assert!(error.to_string().contains("has no address"), "{error}");
}

#[tokio::test]
async fn the_systems_resolver_knows_the_hosts_file() {
    let resolution = network().resolve("localhost").await.unwrap();
    assert!(resolution.addresses.iter().all(IpAddr::is_loopback) && !resolution.addresses.is_empty(), "{resolution:?}");
}

#[tokio::test]
async fn a_server_is_told_from_another_and_from_itself_started_anew() {
    let (one, other) = (Postgres::start(), Postgres::start());
    let ask = async |server: &Postgres| {
        let session = server.maintenance().await;
        server_identity(&session).await.unwrap()
    };
    let first = ask(&one).await;
    assert!(first.is_same_server(&ask(&one).await));
    assert!(!first.is_same_server(&ask(&other).await));
    assert_eq!(first.server, format!("{}:{}", one.address, one.port));
    assert!(!first.in_recovery);
}

#[tokio::test]
async fn sessions_name_their_recovery_and_leave_from_the_address_they_are_told() {
    let server = Postgres::start();
    let settings = Settings { source_address: Some("127.9.8.7".parse().unwrap()), ..Settings::default() };
    let network = Network::new(settings).unwrap().for_recovery("my-backtrack-operation-001");
    let session = network.connect(&server.target(), &master(), "postgres").await.unwrap();
    let seen =
        server.sql("postgres", "SELECT application_name, client_addr FROM pg_stat_activity WHERE usename = 'postgres'");
    assert_eq!(seen, "aurora-rewind/my-backtrack-operation-001|127.9.8.7");
    session.close().await;
    assert_eq!(server.sql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE usename = 'postgres'"), "0");
}

#[tokio::test]
async fn a_port_that_nobody_listens_on_is_unavailable_and_names_what_was_tried() {
    let mut server = Postgres::start();
    server.crash();
    let error = failure(network().connect(&server.target(), &master(), "postgres").await.unwrap_err());
    assert_eq!(error.name, ErrorName::Unavailable);
    assert!(error.to_string().contains(&format!("{}:{}", server.address, server.port)), "{error}");
}

#[tokio::test]
async fn a_server_that_is_frozen_does_not_hold_a_function_for_ever() {
    let server = Postgres::start();
    server.freeze(true);
    let started = Instant::now();
    let error = failure(network().connect(&server.target(), &master(), "postgres").await.unwrap_err());
    server.freeze(false);
    assert_eq!(error.name, ErrorName::Unavailable);
    assert!(started.elapsed() < Duration::from_secs(25), "{:?}", started.elapsed());
}
