//! `rewind-local up`: from nothing, or from whatever a crash left, to a stack that answers.
//!
//! What runs and is healthy is left alone. It never reuses the data of an earlier start.

use super::clients::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY};
use super::env::{Outputs, StackEnv};
use super::layout::Layout;
use super::network::Network;
use super::progress::{Failure, Progress, doing, shown};
use super::{health, process, seed, tools};
use clap::Args;
use std::fs;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The name of the deployed template.
const STACK_NAME: &str = "aurora-rewind";
/// How long a process may take until it answers: half a second alone, more beside a compiler.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(30);

/// What `up` is told.
#[derive(Debug, Clone, Args)]
pub struct UpArgs {
    /// The stack's directory; `.local` of the checkout unless given
    #[arg(long, env = "REWIND_STACK_DIR")]
    pub dir: Option<PathBuf>,
    /// The packages and binaries are known to be there
    #[arg(long)]
    pub built: bool,
    /// Let ministack enforce the functions' IAM policies
    #[arg(long, env = "REWIND_STACK_IAM")]
    pub iam: bool,
}

/// Brings the stack up.
///
/// # Errors
///
/// What stopped it, with the log that tells why. What was started by then is swept by the next `up` or `down`.
pub async fn up(layout: &Layout, args: &UpArgs) -> Result<(), Failure> {
    let mut progress = Progress::begin();
    if !args.built {
        tools::packages(layout, &mut progress)?;
        tools::binaries(layout, &mut progress)?;
    }
    if let Some(network) = healthy(layout).await {
        let inputs = inputs(layout)?;
        if fs::read_to_string(deployed(layout)).is_ok_and(|deployed| deployed == inputs) {
            progress.end(format_args!("the stack is up: {}", shown(&layout.env_file())));
            return Ok(());
        }
        let app = seed::chat_app(network).await?;
        let outputs = deploy(layout, network, args.iam, &app, &inputs)?;
        let stack = StackEnv { outputs, ..StackEnv::read(layout)? };
        stack.write(layout).map_err(doing("stack.env could not be written"))?;
        progress.end("the stack is up, and now runs what was built");
        return Ok(());
    }
    tools::venv(layout, "ministack", &mut progress)?;
    tools::venv(layout, "aws", &mut progress)?;
    clear(layout, &mut progress)?;
    let network = Network::choose(&layout.dir, &layout.dir.join("network.json"))?;
    fs::create_dir_all(layout.run().join("tmp")).map_err(doing("the run directory could not be made"))?;
    let groups = layout.run().join("security-groups.json");
    fs::write(&groups, seed::security_groups(network).to_string()).map_err(doing(groups.display()))?;

    let began = Instant::now();
    let mut ministack = start(layout, "ministack", &mut ministack(layout, network, args.iam))?;
    let mut plane = start(layout, "control-plane", &mut control_plane(layout, network, args.iam)?)?;
    until(layout, "control-plane", &mut plane, || health::rds(network)).await?;
    progress.done(format_args!("RDS answers on {}, DNS on {}", network.rds(), network.dns()));
    until(layout, "ministack", &mut ministack, || health::gateway(network)).await?;
    progress.done_at(began, Instant::now(), format_args!("the rest of AWS answers on {}", network.gateway()));

    // The template and the cluster do not need each other.
    let began = Instant::now();
    let inputs = inputs(layout)?;
    let app = seed::chat_app(network).await?;
    let (layout_of_deploy, iam, app_of_deploy) = (layout.clone(), args.iam, app.clone());
    let deployment = tokio::task::spawn_blocking(move || {
        let outputs = deploy(&layout_of_deploy, network, iam, &app_of_deploy, &inputs);
        (outputs, Instant::now())
    });
    let (endpoint, secret) =
        seed::cluster(network).await.map_err(|e| Failure::from(e).see(layout.log("control-plane")))?;
    progress.done_at(began, Instant::now(), format_args!("{} is available", seed::CLUSTER));
    let (outputs, deployed_at) = deployment.await.map_err(Failure::new)?;
    let outputs = outputs?;
    progress.done_at(began, deployed_at, format_args!("{STACK_NAME} is deployed"));
    let seed = seed::record_and_login(network, &endpoint, &secret).await?;
    let found = health::resolve(network.dns(), seed::DB_RECORD).await;
    if !found.as_ref().is_ok_and(|addresses| addresses.len() == 1) {
        let message = format!("{} does not resolve: {found:?}", seed::DB_RECORD);
        return Err(Failure::new(message).see(layout.log("control-plane")));
    }
    progress.done(format_args!("{} leads to {endpoint}", seed::DB_RECORD));

    let stack = StackEnv {
        aws_endpoint: format!("http://{}", network.gateway()),
        rds_endpoint: format!("http://{}", network.rds()),
        dns: network.dns(),
        outputs,
        hosted_zone_id: seed.hosted_zone_id,
        db_record: seed::DB_RECORD.to_owned(),
        user: seed.user,
        password: seed.password,
        database: seed::DATABASE.to_owned(),
        ca_bundle: ca_bundle(layout),
        chat_signing_secret: app.signing_secret,
        chat_response_prefix: chat_prefix(network),
    };
    stack.write(layout).map_err(doing("stack.env could not be written"))?;
    progress.end(format_args!("the stack is up; use it by: set -a; . {}; set +a", shown(&layout.env_file())));
    Ok(())
}

/// Ends what an earlier start left and removes its state.
///
/// # Errors
///
/// When a process does not end or a file can't be removed.
pub fn clear(layout: &Layout, progress: &mut Progress) -> Result<usize, Failure> {
    // First of all, so that nobody takes a half-removed stack for a running one.
    remove(fs::remove_file(layout.env_file()))?;
    let ended = process::sweep(&layout.dir)?;
    let had_state = layout.run().exists();
    remove(fs::remove_dir_all(layout.run()))?;
    if ended > 0 || had_state {
        progress.done(format_args!("{ended} processes of an earlier start are ended, its state is removed"));
    }
    Ok(ended)
}

fn remove(result: std::io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::new(format!("the state of an earlier start could not be removed: {error}")))
        }
        _ => Ok(()),
    }
}

/// The network of the stack, if all of it answers.
pub async fn healthy(layout: &Layout) -> Option<Network> {
    let stack = StackEnv::read(layout).ok()?;
    let network: Network = serde_json::from_slice(&fs::read(layout.dir.join("network.json")).ok()?).ok()?;
    // The addresses may be another stack's by now: it must be our processes that answer.
    if process::alive(&layout.dir).is_empty() {
        return None;
    }
    let (gateway, rds, name) =
        tokio::join!(health::gateway(network), health::rds(network), stack.resolve(&stack.db_record));
    (gateway && rds && name.is_ok()).then_some(network)
}

fn start(layout: &Layout, name: &str, command: &mut Command) -> Result<Child, Failure> {
    process::start(layout, name, command).map_err(doing(format_args!("{name} could not be started")))
}

/// Waits until a process answers.
async fn until<F: Future<Output = bool>>(
    layout: &Layout,
    name: &str,
    child: &mut Child,
    answers: impl Fn() -> F,
) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Err(Failure::new(format!("{name} ended: {status}")).see(layout.log(name)));
        }
        if answers().await {
            return Ok(());
        }
        if Instant::now() > deadline {
            let seconds = PATIENCE.as_secs();
            return Err(Failure::new(format!("{name} did not answer within {seconds} s")).see(layout.log(name)));
        }
        tokio::time::sleep(POLL).await;
    }
}

fn url(address: SocketAddrV4) -> String {
    format!("http://{address}")
}

/// What every address begins with that chat answers to.
fn chat_prefix(network: Network) -> String {
    format!("{}/", url(network.chat()))
}

fn ca_bundle(layout: &Layout) -> PathBuf {
    layout.run().join("ca.pem")
}

/// The local AWS. The functions inherit all of its environment, so it gets nothing of the person's own.
fn ministack(layout: &Layout, network: Network, iam: bool) -> Command {
    let run = layout.run();
    let mut command = bare(layout.tool("ministack", "python"));
    command.arg(layout.root.join("local/tools/ministack_strict.py"));
    if iam {
        command.env("REWIND_IAM_DECISIONS", run.join("iam-decisions.jsonl"));
    }
    command.current_dir(&run);
    command.env("TMPDIR", run.join("tmp")).env("HOME", &run);
    command.env("S3_DATA_DIR", run.join("s3")).env("STATE_DIR", run.join("state"));
    command
        .env("BIND_HOST", network.gateway().ip().to_string())
        .env("MINISTACK_HOST", network.gateway().ip().to_string());
    command.env("GATEWAY_PORT", network.gateway().port().to_string());
    command.env("MINISTACK_REGION", REGION).env("AUTH", iam.to_string());
    // Both listen on every address of the machine, and nobody needs them.
    command.env("IOT_MTLS_ENABLED", "0").env("SFTP_ENABLED", "0");
    command.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONUNBUFFERED", "1");
    aws(&mut command, network);
    // What docs/steps.md lists for the functions of a local stack; on AWS none of it is set.
    command.env("REWIND_DNS_SERVER", network.dns().to_string());
    command.env("REWIND_DATABASE_SOURCE_ADDRESS", network.functions().to_string());
    command.env("REWIND_CHAT_RESPONSE_PREFIX", chat_prefix(network));
    command
}

/// The RDS control plane and the name server: this very program.
fn control_plane(layout: &Layout, network: Network, iam: bool) -> Result<Command, Failure> {
    let mut command = bare(myself()?);
    command.arg("serve").arg("--dir").arg(layout.run()).current_dir(layout.run());
    command.args(["--listen", &network.rds().to_string(), "--network", &network.cidr()]);
    command.args(["--dns", &network.dns().to_string(), "--aws-endpoint", &url(network.gateway())]);
    process::fresh_log(layout, "chat").map_err(doing("the log could not be written"))?;
    command.args(["--chat", &network.chat().to_string(), "--chat-log"]).arg(layout.log("chat"));
    command.args(iam.then_some("--iam"));
    aws(&mut command, network);
    Ok(command)
}

fn myself() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(doing("this program could not find itself"))
}

/// A command with an environment of its own: no profile, no proxy, no PGOPTIONS of whoever starts the stack.
fn bare(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("LC_ALL", "C.UTF-8");
    for inherited in ["PATH", "RUST_LOG", "RUST_BACKTRACE"] {
        if let Some(value) = std::env::var_os(inherited) {
            command.env(inherited, value);
        }
    }
    command
}

fn aws(command: &mut Command, network: Network) {
    command.env("AWS_ENDPOINT_URL", url(network.gateway())).env("AWS_ENDPOINT_URL_RDS", url(network.rds()));
    command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID).env("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY);
    command.env("AWS_REGION", REGION).env("AWS_DEFAULT_REGION", REGION);
}

/// What the running deployment was made from.
fn deployed(layout: &Layout) -> PathBuf {
    layout.run().join("deployed")
}

/// What a deployment is made from: the functions' binaries, the template and the state machine, by name, size and time.
fn inputs(layout: &Layout) -> Result<String, Failure> {
    let binaries = myself()?.parent().unwrap_or(Path::new("/")).to_owned();
    let mut files = Vec::new();
    for folder in ["functions", "infra", "statemachine"] {
        let entries = fs::read_dir(layout.root.join(folder)).map_err(doing(folder))?;
        for entry in entries {
            let path = entry.map_err(doing(folder))?.path();
            files.push(if folder == "functions" { binaries.join(path.file_name().unwrap_or_default()) } else { path });
        }
    }
    files.sort();
    let lines = files.iter().filter_map(|file| {
        let metadata = fs::metadata(file).ok().filter(fs::Metadata::is_file)?;
        let changed = metadata.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(format!("{} {} {}\n", file.display(), metadata.len(), changed.as_nanos()))
    });
    Ok(lines.collect())
}

/// Zips the binaries and deploys the template; answers its outputs.
fn deploy(layout: &Layout, network: Network, iam: bool, app: &seed::ChatApp, inputs: &str) -> Result<Outputs, Failure> {
    let log = process::fresh_log(layout, "deploy").map_err(doing("the log could not be written"))?;
    let binaries = myself()?;
    let mut command = bare(layout.tool("aws", "python"));
    command.arg(layout.root.join("local/tools/deploy.py")).arg("--root").arg(&layout.root);
    command.arg("--binaries").arg(binaries.parent().unwrap_or(Path::new("/")));
    command.arg("--out").arg(layout.deploy()).args(["--stack-name", STACK_NAME]);
    // Everything here is of this stack.
    command.args(["--parameter", "ClusterPattern=*"]);
    command.args(["--parameter", &format!("FenceSecurityGroupIds={}", seed::FENCE_SECURITY_GROUP)]);
    command.args(["--parameter", &format!("DatabaseCaBundle={}", ca_bundle(layout).display())]);
    command.args(["--parameter", &format!("ChatSecretArn={}", app.secret_arn)]);
    for (name, people) in seed::CHAT_PEOPLE {
        command.args(["--parameter", &format!("{name}={people}")]);
    }
    command.args(iam.then_some("--iam"));
    command.env("HOME", layout.run()).env("TMPDIR", layout.run().join("tmp")).env("PYTHONDONTWRITEBYTECODE", "1");
    aws(&mut command, network);
    let output = command.stdin(Stdio::null()).stderr(log).output().map_err(doing("the deployment could not be run"))?;
    let see = |failure: Failure| failure.see(layout.log("deploy"));
    if !output.status.success() {
        return Err(see(Failure::new("the template could not be deployed")));
    }
    let outputs = serde_json::from_slice(&output.stdout)
        .map_err(|e| see(Failure::new(format!("the template's outputs are not what the stack needs: {e}"))))?;
    fs::write(layout.outputs(), &output.stdout).map_err(doing("the outputs could not be kept"))?;
    fs::write(deployed(layout), inputs).map_err(doing("the deployment could not be remembered"))?;
    Ok(outputs)
}
