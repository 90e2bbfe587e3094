//! Everything that a client needs to use a running stack: `.local/stack.env`, written and read; SDK clients; name resolution.
//!
//! The demo and the end-to-end tests begin here. It starts nothing and holds no connection.

use super::clients::{Keys, sdk_config};
use super::health;
use super::layout::Layout;
use anyhow::{Context, Result};
use aws_types::SdkConfig;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};

/// The outputs of the deployed template, by the names that it gives them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Outputs {
    /// The ARN of the recovery's state machine.
    pub state_machine_arn: String,
    /// The table of leases, recoveries and pending approvals.
    pub table_name: String,
    /// The topic to which approval requests are sent.
    pub topic_arn: String,
    /// The ARN of the state machine that rolls recoveries back.
    pub undo_state_machine_arn: String,
    /// The ARN of the state machine that deletes what recoveries kept.
    pub clean_up_state_machine_arn: String,
    /// `ENABLED` if the clean-up starts every hour.
    pub clean_up: String,
    /// The ARN of the state machine that opens what recoveries left behind.
    pub open_state_machine_arn: String,
    /// The function that reports and sets windows.
    pub set_window_function_name: String,
    /// The function that compares tables.
    pub compare_tables_function_name: String,
    /// The URL of the chat function, with the host name that AWS would give it.
    pub chat_url: String,
}

impl Outputs {
    /// The URL of the chat function on this stack: function URLs have no DNS here, so the id in `https://<id>.lambda-url.…` goes into
    /// a path of the gateway.
    fn local_chat_url(&self, aws_endpoint: &str) -> String {
        // *.on.aws would resolve on the internet, if at all, and never to this machine.
        let id = self.chat_url.trim_start_matches("https://").split('.').next().unwrap_or_default();
        format!("{aws_endpoint}/_aws/lambda-url/{id}/")
    }
}

/// A running stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackEnv {
    /// The endpoint of every service but RDS.
    pub aws_endpoint: String,
    /// The endpoint of the RDS API.
    pub rds_endpoint: String,
    /// The credentials of this start.
    pub keys: Keys,
    /// The name server.
    pub dns: SocketAddrV4,
    /// The deployed template's outputs.
    pub outputs: Outputs,
    /// The hosted zone with the record.
    pub hosted_zone_id: String,
    /// The record that names the cluster's writer.
    pub db_record: String,
    /// The master user of `my-aurora-cluster`.
    pub user: String,
    /// The master user's password at the start of the stack.
    pub password: String,
    /// The database to connect to.
    pub database: String,
    /// The authority that signed the databases' certificates (PEM).
    pub ca_bundle: PathBuf,
    /// The secret that requests of chat are signed with.
    pub chat_signing_secret: String,
    /// The prefix of every URL that chat may respond to.
    pub chat_response_prefix: String,
}

impl StackEnv {
    /// Reads the stack of a layout.
    ///
    /// # Errors
    ///
    /// When it is not up, or another version wrote its files.
    pub fn read(layout: &Layout) -> Result<Self> {
        let not_up = || format!("there is no running stack in {}; next step: make up", layout.dir.display());
        let file = layout.env_file();
        let variables = parse(&fs::read_to_string(&file).with_context(not_up)?);
        let unreadable = |what: &str| format!("{} does not say {what}; next step: make down, make up", file.display());
        let get = |name: &str| variables.get(name).cloned().with_context(|| unreadable(name));
        let outputs = fs::read(layout.outputs()).with_context(not_up)?;
        let outputs = serde_json::from_slice(&outputs).with_context(|| {
            format!("{} has not all outputs; next step: make down, make up", layout.outputs().display())
        })?;
        // Two variables: dig takes server and port apart.
        let dns = format!("{}:{}", get("DNS_SERVER")?, get("DNS_PORT")?);
        Ok(Self {
            aws_endpoint: get("AWS_ENDPOINT_URL")?,
            rds_endpoint: get("AWS_ENDPOINT_URL_RDS")?,
            keys: Keys { id: get("AWS_ACCESS_KEY_ID")?, secret: get("AWS_SECRET_ACCESS_KEY")? },
            dns: dns.parse().with_context(|| unreadable("where the name server is"))?,
            outputs,
            hosted_zone_id: get("HOSTED_ZONE_ID")?,
            db_record: get("DB_RECORD")?,
            user: get("PGUSER")?,
            password: get("PGPASSWORD")?,
            database: get("PGDATABASE")?,
            ca_bundle: get("PGSSLROOTCERT")?.into(),
            chat_signing_secret: get("CHAT_SIGNING_SECRET")?,
            chat_response_prefix: get("CHAT_RESPONSE_PREFIX")?,
        })
    }

    /// Writes `stack.env` in one step: a reader sees all of it or none.
    ///
    /// # Errors
    ///
    /// When it can't be written.
    pub fn write(&self, layout: &Layout) -> io::Result<()> {
        let file = layout.env_file();
        // A shell that reads while it is written would run with half of the variables, and the rest from the person's own AWS profile.
        let unfinished = file.with_extension("env.new");
        private(&unfinished, &self.to_shell())?;
        fs::rename(unfinished, file)
    }

    fn to_shell(&self) -> String {
        let (server, port) = (self.dns.ip().to_string(), self.dns.port().to_string());
        let ca_bundle = self.ca_bundle.to_string_lossy();
        let chat_url = self.outputs.local_chat_url(&self.aws_endpoint);
        // All that the SDKs, the AWS CLI, dig and psql need: a variable that is missing would be taken from the person's own profile.
        let variables = [
            ("AWS_ENDPOINT_URL", self.aws_endpoint.as_str()),
            ("AWS_ENDPOINT_URL_RDS", &self.rds_endpoint),
            ("AWS_REGION", super::clients::REGION),
            ("AWS_DEFAULT_REGION", super::clients::REGION),
            ("AWS_ACCESS_KEY_ID", &self.keys.id),
            ("AWS_SECRET_ACCESS_KEY", &self.keys.secret),
            ("DNS_SERVER", &server),
            ("DNS_PORT", &port),
            ("STATE_MACHINE_ARN", &self.outputs.state_machine_arn),
            ("UNDO_STATE_MACHINE_ARN", &self.outputs.undo_state_machine_arn),
            ("CLEAN_UP_STATE_MACHINE_ARN", &self.outputs.clean_up_state_machine_arn),
            ("CLEAN_UP", &self.outputs.clean_up),
            ("OPEN_STATE_MACHINE_ARN", &self.outputs.open_state_machine_arn),
            ("SET_WINDOW_FUNCTION", &self.outputs.set_window_function_name),
            ("COMPARE_TABLES_FUNCTION", &self.outputs.compare_tables_function_name),
            ("HOSTED_ZONE_ID", &self.hosted_zone_id),
            ("DB_RECORD", &self.db_record),
            ("PGUSER", &self.user),
            ("PGPASSWORD", &self.password),
            ("PGDATABASE", &self.database),
            ("PGSSLROOTCERT", &ca_bundle),
            ("CHAT_URL", &chat_url),
            ("CHAT_SIGNING_SECRET", &self.chat_signing_secret),
            ("CHAT_RESPONSE_PREFIX", &self.chat_response_prefix),
        ];
        let lines = variables.map(|(name, value)| format!("{name}={}\n", quote(value)));
        format!("# Of the running stack; use it by: set -a; . .local/stack.env; set +a\n{}", lines.concat())
    }

    fn sdk(&self) -> SdkConfig {
        sdk_config(&self.aws_endpoint, &self.keys)
    }

    /// A client of Step Functions.
    #[must_use]
    pub fn sfn(&self) -> aws_sdk_sfn::Client {
        aws_sdk_sfn::Client::new(&self.sdk())
    }

    /// A client of DynamoDB.
    #[must_use]
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&self.sdk())
    }

    /// A client of Route 53.
    #[must_use]
    pub fn route53(&self) -> aws_sdk_route53::Client {
        aws_sdk_route53::Client::new(&self.sdk())
    }

    /// A client of Secrets Manager.
    #[must_use]
    pub fn secrets(&self) -> aws_sdk_secretsmanager::Client {
        aws_sdk_secretsmanager::Client::new(&self.sdk())
    }

    /// A client of RDS.
    #[must_use]
    pub fn rds(&self) -> aws_sdk_rds::Client {
        aws_sdk_rds::Client::new(&sdk_config(&self.rds_endpoint, &self.keys))
    }

    /// Resolves a name by the stack's name server, now.
    ///
    /// # Errors
    ///
    /// When there is no such name, or the server does not answer.
    pub async fn resolve(&self, name: &str) -> Result<Vec<Ipv4Addr>> {
        health::resolve(self.dns, name).await
    }
}

/// Writes a file that only its owner can read.
fn private(path: &Path, text: &str) -> io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    // The mode at creation: between a write and a later chmod the password could be read.
    let mut file = fs::File::options().create(true).truncate(true).write(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

/// Quotes a value so that a shell reads it back, whatever is in it.
fn quote(value: &str) -> String {
    // Single quotes keep everything else as it is: passwords of RDS are full of $, ` and !.
    format!("'{}'", value.replace('\'', r"'\''"))
}

/// Parses what [`StackEnv::to_shell`] writes.
fn parse(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| {
            let (name, quoted) = line.split_once('=')?;
            let value = quoted.strip_prefix('\'')?.strip_suffix('\'')?;
            Some((name.to_owned(), value.replace(r"'\''", "'")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn stack() -> StackEnv {
        StackEnv {
            aws_endpoint: "http://127.77.1.1:4566".into(),
            rds_endpoint: "http://127.77.1.1:4567".into(),
            keys: Keys { id: "AKIA0123456789ABCDEF".into(), secret: "it's".into() },
            dns: "127.77.1.1:10053".parse().unwrap(),
            outputs: Outputs {
                state_machine_arn: "arn:aws:states:us-east-1:000000000000:stateMachine:x".into(),
                table_name: "table".into(),
                topic_arn: "topic".into(),
                undo_state_machine_arn: "arn:aws:states:us-east-1:000000000000:stateMachine:u".into(),
                clean_up_state_machine_arn: "arn:aws:states:us-east-1:000000000000:stateMachine:c".into(),
                clean_up: "ENABLED".into(),
                open_state_machine_arn: "arn:aws:states:us-east-1:000000000000:stateMachine:o".into(),
                set_window_function_name: "set-window".into(),
                compare_tables_function_name: "compare-tables".into(),
                chat_url: "https://abc.lambda-url.us-east-1.on.aws/".into(),
            },
            hosted_zone_id: "Z1".into(),
            db_record: "db.example.com".into(),
            user: "postgres".into(),
            password: r#"it's "$HOME" `id` \n !"#.into(),
            database: "postgres".into(),
            ca_bundle: "/a b/ca.pem".into(),
            chat_signing_secret: "0123".into(),
            chat_response_prefix: "http://127.77.1.1:4568/".into(),
        }
    }

    fn scratch() -> (tempfile::TempDir, Layout) {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout { root: dir.path().to_owned(), dir: dir.path().to_owned() };
        fs::create_dir_all(layout.run()).unwrap();
        (dir, layout)
    }

    #[test]
    fn what_is_written_is_read_back() {
        let (_dir, layout) = scratch();
        let json = r#"{"StateMachineArn": "arn:aws:states:us-east-1:000000000000:stateMachine:x",
                       "TableName": "table", "TopicArn": "topic", "Another": "is no harm",
                       "UndoStateMachineArn": "arn:aws:states:us-east-1:000000000000:stateMachine:u",
                       "CleanUpStateMachineArn": "arn:aws:states:us-east-1:000000000000:stateMachine:c",
                       "CleanUp": "ENABLED", "OpenStateMachineArn": "arn:aws:states:us-east-1:000000000000:stateMachine:o",
                       "SetWindowFunctionName": "set-window", "CompareTablesFunctionName": "compare-tables",
                       "ChatUrl": "https://abc.lambda-url.us-east-1.on.aws/"}"#;
        fs::write(layout.outputs(), json).unwrap();
        stack().write(&layout).unwrap();
        assert_eq!(StackEnv::read(&layout).unwrap(), stack());
    }

    #[test]
    fn a_shell_reads_any_password_as_it_is() {
        let (_dir, layout) = scratch();
        stack().write(&layout).unwrap();
        let names = "PGPASSWORD PGSSLROOTCERT DNS_PORT CHAT_URL";
        let script = format!("set -a; . {}; printenv {names}", layout.env_file().display());
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        let chat = "http://127.77.1.1:4566/_aws/lambda-url/abc/";
        let expected = format!("{}\n/a b/ca.pem\n10053\n{chat}\n", stack().password);
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    }

    #[test]
    fn without_a_stack_the_error_names_the_next_step() {
        let (_dir, layout) = scratch();
        assert!(StackEnv::read(&layout).unwrap_err().to_string().ends_with("next step: make up"));
    }
}
