//! The account on which the command acts: chosen as the AWS CLI chooses it. A server on this machine stands for AWS, and the
//! tests read whose key a request is signed with.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where something is wrong"
)]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};

const CONFIG: &str =
    "[profile other]\nregion = eu-west-1\naws_access_key_id = AKIAPROFILE\naws_secret_access_key = secret\n";

/// Runs `rewind list` with these arguments and this environment; returns the Authorization header of its first request.
fn signed_with(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", server.local_addr().unwrap());
    let config = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("profile-config");
    std::fs::write(&config, CONFIG).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rewind"))
        .args(["list", "--table", "recoveries"])
        .args(["--state-machine-arn", "arn:aws:states:eu-west-1:1:stateMachine:rewind"])
        .args(arguments)
        .env_clear()
        .env("AWS_ENDPOINT_URL", url)
        .env("AWS_CONFIG_FILE", &config)
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(environment.iter().copied())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut connection, _) = server.accept().unwrap();
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut part = [0; 4096];
        let read = connection.read(&mut part).unwrap();
        assert!(read > 0, "the command closed the connection");
        request.extend_from_slice(&part[..read]);
    }
    // Enough is known: the command need not get its list.
    connection.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
    command.kill().unwrap();
    command.wait().unwrap();
    let request = String::from_utf8_lossy(&request).into_owned();
    let header = request.lines().find(|line| line.to_ascii_lowercase().starts_with("authorization:"));
    header.unwrap_or_else(|| panic!("not signed: {request}")).to_owned()
}

const KEYS: [(&str, &str); 3] =
    [("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT"), ("AWS_SECRET_ACCESS_KEY", "secret"), ("AWS_REGION", "eu-west-2")];

#[test]
fn a_profile_that_is_named_goes_before_keys_in_the_environment() {
    let header = signed_with(&["--profile", "other"], &KEYS);
    assert!(header.contains("Credential=AKIAPROFILE/") && header.contains("/eu-west-2/"), "{header}");
    let header = signed_with(&["--profile", "other"], &KEYS[..2]);
    assert!(header.contains("Credential=AKIAPROFILE/") && header.contains("/eu-west-1/"), "{header}");
}

#[test]
fn keys_in_the_environment_go_before_a_profile_of_the_environment() {
    let header = signed_with(&[], &[&KEYS[..], &[("AWS_PROFILE", "other")]].concat());
    assert!(header.contains("Credential=AKIAENVIRONMENT/"), "{header}");
    let header = signed_with(&[], &[("AWS_PROFILE", "other")]);
    assert!(header.contains("Credential=AKIAPROFILE/"), "{header}");
}

#[test]
fn a_state_machine_that_is_named_goes_before_a_stack_of_the_environment() {
    let header = signed_with(&[], &[&KEYS[..], &[("REWIND_STACK", "other")]].concat());
    // No stack is looked for: the recoveries are those of the table that was named.
    assert!(header.contains("/dynamodb/aws4_request"), "{header}");
}
