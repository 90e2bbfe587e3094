//! `rewind-local up`: from nothing, or from whatever a crash left, to a stack that answers.
//!
//! A running, healthy stack is left alone. It never reuses the data of an earlier start.

use super::clients::{Keys, REGION};
use super::env::{Outputs, StackEnv};
use super::layout::Layout;
use super::network::Network;
use super::progress::{Logged, Progress, shown};
use super::{health, process, seed, tools};
use crate::private::{self, CLOSED, PASSABLE};
use anyhow::{Context, Result, bail};
use clap::Args;
use std::fs;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The name of the deployed template.
const STACK_NAME: &str = "aurora-rewind";
/// The rules of security groups, which the control plane puts in force.
const SECURITY_GROUPS: &str = "security-groups.json";
/// Longest time until a process answers: half a second alone, more beside a compiler.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(30);

/// Arguments of `up`.
#[derive(Debug, Clone, Args)]
pub struct UpArgs {
    /// The stack's directory; `.local` of the checkout unless given
    #[arg(long, env = "REWIND_STACK_DIR")]
    pub dir: Option<PathBuf>,
    /// The packages and binaries are known to be there
    #[arg(long)]
    pub built: bool,
}

/// Brings the stack up.
///
/// # Errors
///
/// With the log that tells why. The next `up` or `down` ends what was started by then.
pub async fn up(layout: &Layout, args: &UpArgs) -> Result<()> {
    let mut progress = Progress::begin();
    if !args.built {
        tools::packages(layout, &mut progress)?;
        tools::binaries(layout, &mut progress)?;
    }
    let services = services(layout, &own_program()?)?;
    // A control plane or ministack of another build has the tags, tables and rules of that build: what was created there must not meet
    // functions of this one. Data is no reason to keep it, as a stack promises none.
    let runs_this_build = fs::read_to_string(started_with(layout)).is_ok_and(|started| started == services);
    if let Some(network) = healthy(layout).await.filter(|_| runs_this_build) {
        let inputs = inputs(layout)?;
        if fs::read_to_string(deployed(layout)).is_ok_and(|deployed| deployed == inputs) {
            progress.end(format_args!("the stack is up: {}", shown(&layout.env_file())));
            return Ok(());
        }
        private::close_new_files();
        let stack = StackEnv::read(layout)?;
        let app = seed::chat_app(network, &stack.keys).await?;
        let outputs = deploy(layout, (network, &stack.keys), &app, &inputs)?;
        let stack = StackEnv { outputs, ..stack };
        stack.write(layout).context("stack.env could not be written")?;
        progress.end("the stack is up, and now runs what was built");
        return Ok(());
    }
    tools::venv(layout, "ministack", &mut progress)?;
    tools::venv(layout, "aws", &mut progress)?;
    // From here on, because the tools before it are for all stacks of the checkout. Most of what ministack and the functions write has
    // no mode of its own.
    private::close_new_files();
    clear(layout, &mut progress)?;
    let network = Network::choose(&layout.dir, &layout.dir.join("network.json"))?;
    // The server of a database may run as another user, who has to get through to its files.
    private_dir(&layout.run(), PASSABLE)?;
    private_dir(&layout.run().join("tmp"), CLOSED)?;
    let keys = Keys::random();
    fs::write(started_with(layout), services).context("the stack's build could not be written down")?;
    let groups = layout.run().join(SECURITY_GROUPS);
    fs::write(&groups, seed::security_groups(network).to_string()).with_context(|| groups.display().to_string())?;

    let began = Instant::now();
    let mut ministack = start(layout, "ministack", &mut ministack(layout, (network, &keys)))?;
    let mut control_plane = start(layout, "control-plane", &mut control_plane(layout, (network, &keys))?)?;
    until(layout, "control-plane", &mut control_plane, || health::rds(network)).await?;
    progress.done(format_args!("RDS answers on {}, DNS on {}", network.rds(), network.dns()));
    until(layout, "ministack", &mut ministack, || health::gateway(network)).await?;
    progress.done_at(began, Instant::now(), format_args!("the rest of AWS answers on {}", network.gateway()));

    // Side by side, as neither needs the other: the deployment takes about as long as the cluster.
    let began = Instant::now();
    let inputs = inputs(layout)?;
    let app = seed::chat_app(network, &keys).await?;
    let (layout_of_deploy, keys_of_deploy, app_of_deploy) = (layout.clone(), keys.clone(), app.clone());
    let deployment = tokio::task::spawn_blocking(move || {
        let outputs = deploy(&layout_of_deploy, (network, &keys_of_deploy), &app_of_deploy, &inputs);
        (outputs, Instant::now())
    });
    let (endpoint, secret) = seed::cluster(network, &keys)
        .await
        .with_context(|| Logged::new(format_args!("{} is not there", seed::CLUSTER), layout.log("control-plane")))?;
    progress.done_at(began, Instant::now(), format_args!("{} is available", seed::CLUSTER));
    let (outputs, deployed_at) = deployment.await?;
    let outputs = outputs?;
    progress.done_at(began, deployed_at, format_args!("{STACK_NAME} is deployed"));
    let seed = seed::record_and_login(network, &keys, &endpoint, &secret).await?;
    // Once as a client will: everything above may be well and the record still lead nowhere.
    let found = health::resolve(network.dns(), seed::DB_RECORD).await;
    if !found.as_ref().is_ok_and(|addresses| addresses.len() == 1) {
        let message = format!("{} does not resolve: {found:?}", seed::DB_RECORD);
        bail!(Logged::new(message, layout.log("control-plane")));
    }
    progress.done(format_args!("{} leads to {endpoint}", seed::DB_RECORD));

    let stack = StackEnv {
        aws_endpoint: format!("http://{}", network.gateway()),
        rds_endpoint: format!("http://{}", network.rds()),
        keys,
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
    stack.write(layout).context("stack.env could not be written")?;
    progress.end(format_args!("the stack is up; use it by: set -a; . {}; set +a", shown(&layout.env_file())));
    Ok(())
}

/// Ends what an earlier start left and removes its state.
///
/// # Errors
///
/// When a process does not end or a file can't be removed.
pub fn clear(layout: &Layout, progress: &mut Progress) -> Result<usize> {
    // First of all, so that nobody takes a half-removed stack for a running one.
    remove(fs::remove_file(layout.env_file()))?;
    let ended = process::stop_all(&layout.dir)?;
    let had_state = layout.run().exists();
    remove(fs::remove_dir_all(layout.run()))?;
    if ended > 0 || had_state {
        progress.done(format_args!("{ended} processes of an earlier start are ended, its state is removed"));
    }
    Ok(ended)
}

/// Creates a directory of this mode, with those that it lies in.
fn private_dir(path: &Path, mode: u32) -> Result<()> {
    private::make_dir(path, mode).with_context(|| format!("{} could not be made", path.display()))
}

fn remove(result: std::io::Result<()>) -> Result<()> {
    match result {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).context("the state of an earlier start could not be removed")
        }
        _ => Ok(()),
    }
}

/// Returns the network of the stack if all of it answers.
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

fn start(layout: &Layout, name: &str, command: &mut Command) -> Result<Child> {
    process::start(layout, name, command).with_context(|| format!("{name} could not be started"))
}

/// Waits until a process answers.
async fn until<F: Future<Output = bool>>(
    layout: &Layout,
    name: &str,
    child: &mut Child,
    answers: impl Fn() -> F,
) -> Result<()> {
    let deadline = Instant::now() + ANSWER_TIMEOUT;
    loop {
        // First: a process that has ended never answers, and its log says why long before the time is over.
        if let Ok(Some(status)) = child.try_wait() {
            bail!(Logged::new(format_args!("{name} ended: {status}"), layout.log(name)));
        }
        if answers().await {
            return Ok(());
        }
        if Instant::now() > deadline {
            let seconds = ANSWER_TIMEOUT.as_secs();
            bail!(Logged::new(format_args!("{name} did not answer within {seconds} s"), layout.log(name)));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

fn url(address: SocketAddrV4) -> String {
    format!("http://{address}")
}

/// The prefix of every URL that chat may respond to.
fn chat_prefix(network: Network) -> String {
    format!("{}/", url(network.chat()))
}

fn ca_bundle(layout: &Layout) -> PathBuf {
    layout.run().join("ca.pem")
}

/// Builds the command of ministack. The functions inherit its environment, so it gets nothing of the person's own.
fn ministack(layout: &Layout, (network, keys): (Network, &Keys)) -> Command {
    let run = layout.run();
    let mut command = clean_command(layout.tool("ministack", "python"));
    command.arg(layout.root.join("local/tools/ministack_strict.py"));
    command.env("REWIND_IAM_DECISIONS", run.join("iam-decisions.jsonl"));
    command.env("REWIND_SECURITY_GROUPS", run.join(SECURITY_GROUPS));
    command.current_dir(&run);
    // Everything that it writes goes with the stack: zips of functions, their layers, its state.
    command.env("TMPDIR", run.join("tmp")).env("HOME", &run);
    command.env("S3_DATA_DIR", run.join("s3")).env("STATE_DIR", run.join("state"));
    command
        .env("BIND_HOST", network.gateway().ip().to_string())
        .env("MINISTACK_HOST", network.gateway().ip().to_string());
    command.env("GATEWAY_PORT", network.gateway().port().to_string());
    command.env("MINISTACK_REGION", REGION).env("AUTH", "true");
    // Off until a test plans one: a stack that has to be started anew for it would take the databases along.
    command.env("REWIND_FAULTS", "true");
    // Both listen on every address of the machine, and nobody needs them.
    command.env("IOT_MTLS_ENABLED", "0").env("SFTP_ENABLED", "0");
    command.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONUNBUFFERED", "1");
    aws(&mut command, (network, keys));
    // docs/steps.md lists these for the functions of a local stack; on AWS none of them is set.
    command.env("REWIND_DNS_SERVER", network.dns().to_string());
    command.env("REWIND_DATABASE_SOURCE_ADDRESS", network.functions().to_string());
    command.env("REWIND_CHAT_RESPONSE_PREFIX", chat_prefix(network));
    command
}

/// Builds the command of the RDS control plane and the name server: this very program.
fn control_plane(layout: &Layout, (network, keys): (Network, &Keys)) -> Result<Command> {
    let mut command = clean_command(own_program()?);
    command.arg("serve").arg("--dir").arg(layout.run()).current_dir(layout.run());
    command.args(["--listen", &network.rds().to_string(), "--network", &network.cidr()]);
    command.args(["--dns", &network.dns().to_string(), "--aws-endpoint", &url(network.gateway())]);
    process::fresh_log(layout, "chat").context("the log could not be written")?;
    command.args(["--chat", &network.chat().to_string(), "--chat-log"]).arg(layout.log("chat"));
    aws(&mut command, (network, keys));
    Ok(command)
}

fn own_program() -> Result<PathBuf> {
    std::env::current_exe().context("this program could not find itself")
}

/// Builds a command with an environment of its own: no AWS profile, proxy or PGOPTIONS of whoever starts the stack.
fn clean_command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("LC_ALL", "C.UTF-8");
    // An AWS_PROFILE that got through would make functions of the stack call a real account.
    for inherited in ["PATH", "RUST_LOG", "RUST_BACKTRACE"] {
        if let Some(value) = std::env::var_os(inherited) {
            command.env(inherited, value);
        }
    }
    command
}

fn aws(command: &mut Command, (network, keys): (Network, &Keys)) {
    command.env("AWS_ENDPOINT_URL", url(network.gateway())).env("AWS_ENDPOINT_URL_RDS", url(network.rds()));
    command.env("AWS_ACCESS_KEY_ID", &keys.id).env("AWS_SECRET_ACCESS_KEY", &keys.secret);
    command.env("AWS_REGION", REGION).env("AWS_DEFAULT_REGION", REGION);
}

/// The file that says what the running deployment was made from.
fn deployed(layout: &Layout) -> PathBuf {
    layout.run().join("deployed")
}

/// The file that says from which build the running services were started.
fn started_with(layout: &Layout) -> PathBuf {
    layout.run().join("started-with")
}

/// Lists what the services are made from: this program and the Python programs around ministack, by name, size and time.
fn services(layout: &Layout, program: &Path) -> Result<String> {
    let tools = layout.root.join("local/tools");
    let failed = || tools.display().to_string();
    let mut files = vec![program.to_owned()];
    for entry in fs::read_dir(&tools).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        if entry.file_name().to_string_lossy().starts_with("ministack") {
            files.push(entry.path());
        }
    }
    Ok(list(files))
}

/// Lists what a deployment is made from: the functions' binaries, the template and the state machine, by name, size and time.
fn inputs(layout: &Layout) -> Result<String> {
    let binaries = own_program()?.parent().unwrap_or(Path::new("/")).to_owned();
    let mut files = Vec::new();
    for folder in ["functions", "infra", "statemachine"] {
        let entries = fs::read_dir(layout.root.join(folder)).context(folder)?;
        for entry in entries {
            let path = entry.context(folder)?.path();
            files.push(if folder == "functions" { binaries.join(path.file_name().unwrap_or_default()) } else { path });
        }
    }
    Ok(list(files))
}

/// Lists files by name, size and time of their last change: a new build changes the time even where the size stays.
fn list(mut files: Vec<PathBuf>) -> String {
    files.sort();
    let lines = files.iter().filter_map(|file| {
        let metadata = fs::metadata(file).ok().filter(fs::Metadata::is_file)?;
        let changed = metadata.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(format!("{} {} {}\n", file.display(), metadata.len(), changed.as_nanos()))
    });
    lines.collect()
}

/// Zips the binaries and deploys the template; returns its outputs.
fn deploy(layout: &Layout, (network, keys): (Network, &Keys), app: &seed::ChatApp, inputs: &str) -> Result<Outputs> {
    let log = process::fresh_log(layout, "deploy").context("the log could not be written")?;
    let binaries = own_program()?;
    let mut command = clean_command(layout.tool("aws", "python"));
    command.arg(layout.root.join("local/tools/deploy.py")).arg("--root").arg(&layout.root);
    command.arg("--binaries").arg(binaries.parent().unwrap_or(Path::new("/")));
    command.arg("--out").arg(layout.deploy()).args(["--stack-name", STACK_NAME]);
    // On AWS these limit what functions may touch. Clusters, secrets, zones, passwords and roles of a local stack are all its own.
    for everything in [
        "ClusterPattern=*",
        "NewClusterPattern=*",
        "SecretArns=arn:aws:secretsmanager:*:*:secret:*",
        "HostedZoneArns=arn:aws:route53:::hostedzone/*",
        "ClusterRoleArns=arn:aws:iam::*:role/*",
        "MasterPasswords=any",
    ] {
        command.args(["--parameter", everything]);
    }
    command.args(["--parameter", &format!("RecordNames=*.{}", seed::ZONE)]);
    command.args(["--parameter", &format!("FenceSecurityGroupIds={}", seed::FENCE_SECURITY_GROUP)]);
    // What the deployment forbids is tried by tests of its own; a laptop's data is nobody's.
    for rule in [
        "WithoutApproval=always",
        "LeastKeepSource=1h",
        "MostFenceTimeout=24h",
        "MostKeepRestored=35d",
        "TwoPeople=chat",
        "CheckDatabases=*/*",
        "EventsMayStart=ENABLED",
        "RequestBus=default",
        "AlarmsMayStart=ENABLED",
    ] {
        command.args(["--parameter", rule]);
    }
    command.args(["--parameter", &format!("DatabaseCaBundle={}", ca_bundle(layout).display())]);
    command.args(["--parameter", &format!("ChatSecretArn={}", app.secret_arn)]);
    for (name, people) in seed::CHAT_PEOPLE {
        command.args(["--parameter", &format!("{name}={people}")]);
    }
    command.env("HOME", layout.run()).env("TMPDIR", layout.run().join("tmp")).env("PYTHONDONTWRITEBYTECODE", "1");
    aws(&mut command, (network, keys));
    let output = command.stdin(Stdio::null()).stderr(log).output().context("the deployment could not be run")?;
    let failed = |message| Logged::new(message, layout.log("deploy"));
    if !output.status.success() {
        bail!(failed("the template could not be deployed"));
    }
    let outputs = serde_json::from_slice(&output.stdout)
        .with_context(|| failed("the template's outputs are not what the stack needs"))?;
    fs::write(layout.outputs(), &output.stdout).context("the outputs could not be kept")?;
    fs::write(deployed(layout), inputs).context("the deployment could not be remembered")?;
    Ok(outputs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_build_of_a_service_is_another_stack() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout { root: dir.path().to_owned(), dir: dir.path().join(".local") };
        let tools = dir.path().join("local/tools");
        fs::create_dir_all(&tools).unwrap();
        let program = dir.path().join("rewind-local");
        let services = || services(&layout, &program).unwrap();
        let mut seen = vec![services()];
        for file in [program.clone(), tools.join("ministack.txt"), tools.join("ministack_strict.py")] {
            fs::write(&file, "one").unwrap();
            seen.push(services());
            fs::write(&file, "three").unwrap();
            seen.push(services());
        }
        let distinct: std::collections::BTreeSet<&String> = seen.iter().collect();
        assert_eq!(distinct.len(), seen.len(), "{seen:?}");
        fs::write(tools.join("lint.txt"), "no service").unwrap();
        assert_eq!(services(), *seen.last().unwrap());
    }
}
