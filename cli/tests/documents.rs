//! The one document that a script gets on standard output, however a command ends. A server on this machine stands for AWS.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where something is wrong"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::thread;

const EXECUTION: &str = r#"{
    "executionArn": "arn:aws:states:eu-west-1:1:execution:rewind:r-1", "name": "r-1", "status": "RUNNING",
    "stateMachineArn": "arn:aws:states:eu-west-1:1:stateMachine:rewind", "startDate": 1795430400.0,
    "input": "{\"cluster\":\"orders\"}"
}"#;

/// Answers one call as AWS would whose history this caller may not read.
fn answer(mut connection: TcpStream) {
    let mut reader = BufReader::new(connection.try_clone().unwrap());
    let (mut target, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap() == 0 {
            return;
        }
        let line = line.trim().to_owned();
        match line.to_ascii_lowercase().split_once(':') {
            Some(("x-amz-target", _)) => target = line.split_once(':').unwrap().1.trim().to_owned(),
            Some(("content-length", value)) => length = value.trim().parse().unwrap(),
            Some(_) => {}
            None if line.is_empty() => break,
            None => {}
        }
    }
    reader.read_exact(&mut vec![0; length]).unwrap();
    let (status, body) = match target.as_str() {
        "DynamoDB_20120810.GetItem" => ("200 OK", "{}"),
        "AWSStepFunctions.DescribeExecution" => ("200 OK", EXECUTION),
        _ => ("400 Bad Request", r#"{"__type": "AccessDeniedException", "message": "not allowed"}"#),
    };
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.0\r\nconnection: close");
    write!(connection, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
}

/// Runs `rewind` with these arguments to its end.
fn rewind(arguments: &[&str]) -> Output {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", server.local_addr().unwrap());
    thread::spawn(move || server.incoming().for_each(|connection| answer(connection.unwrap())));
    Command::new(env!("CARGO_BIN_EXE_rewind"))
        .args(arguments)
        .args(["--table", "recoveries", "--state-machine-arn", "arn:aws:states:eu-west-1:1:stateMachine:rewind"])
        .env_clear()
        .env("AWS_ENDPOINT_URL", url)
        .env("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env("AWS_REGION", "eu-west-1")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .output()
        .unwrap()
}

#[test]
fn a_script_gets_one_document_where_following_fails_and_a_person_hears_that_it_goes_on() {
    let followed = rewind(&["status", "r-1", "--follow", "--json"]);
    let (out, err) = (String::from_utf8_lossy(&followed.stdout), String::from_utf8_lossy(&followed.stderr));
    assert_eq!(followed.status.code(), Some(1), "{out}{err}");
    let document: serde_json::Value = serde_json::from_str(&out).unwrap_or_else(|why| panic!("{why}: {out}"));
    assert_eq!(document["error"], "trouble", "{out}");
    assert!(document["message"].as_str().unwrap().contains("AccessDenied"), "{out}");
    // What the stack's parameters allow is no matter of a person's.
    assert!(!out.contains("ClusterPattern"), "{out}");
    assert!(err.contains("r-1 goes on"), "{err}");
}

#[test]
fn whoever_closes_the_pipe_has_read_enough() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_rewind"));
    let written = command.args(["completions", "bash"]).env_clear().stdout(writer).output().unwrap();
    assert_eq!((written.status.code(), String::from_utf8_lossy(&written.stderr).as_ref()), (Some(0), ""));
    // A full disk is told.
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let written = command.stdout(full).output().unwrap();
    let err = String::from_utf8_lossy(&written.stderr);
    assert!(err.starts_with("standard output could not be written: "), "{err}");
}
