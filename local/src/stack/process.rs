//! The stack's processes: started in a group of their own with a mark in their environment, found again by that mark.
//!
//! Whatever crashed or was killed, the mark tells which processes are of this stack; nothing is ever found by name alone.

use super::layout::Layout;
use rustix::process::{Pid, PidfdFlags, Signal};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The variable whose value is the directory of the stack that a process belongs to. Everything started by a marked
/// process inherits it, the Lambda functions too. It is in no file that a shell reads.
const MARK: &str = "REWIND_STACK_PROCESS";
/// The control plane stops its databases before it ends.
const GRACE: Duration = Duration::from_secs(8);
/// A database that is told to drop everything needs only the time to remove its shared memory.
const DROP: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(20);

/// Starts a process of the stack: marked, away from the terminal's signals, its output in the log of that name.
///
/// # Errors
///
/// When the log can't be written or the program can't be started.
pub fn start(layout: &Layout, name: &str, command: &mut Command) -> io::Result<Child> {
    let log = fresh_log(layout, name)?;
    command
        .env(MARK, &layout.dir)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        // Ctrl-C at the terminal ends what the person sees, and the next start or stop sweeps the rest in order.
        .process_group(0)
        .spawn()
}

/// Begins a log; what was there becomes the previous one, for a crash is looked at after the next start.
///
/// # Errors
///
/// When the log can't be written.
pub fn fresh_log(layout: &Layout, name: &str) -> io::Result<File> {
    let path = layout.log(name);
    if path.exists() {
        fs::rename(&path, path.with_extension("previous.log"))?;
    }
    File::options().create(true).append(true).open(path)
}

/// A process of the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// What it runs, without the folder.
    pub program: String,
    /// The command line, for a person.
    pub command: String,
}

/// The processes of the stack in `dir` that live now.
pub fn alive(dir: &Path) -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let mut found: Vec<Process> = pids.filter_map(|pid| look(pid, dir)).collect();
    found.sort_by_key(|process| process.pid);
    found
}

/// The process, if it is of the stack in `dir`.
fn look(pid: i32, dir: &Path) -> Option<Process> {
    let proc = PathBuf::from(format!("/proc/{pid}"));
    // A process that is dead and not yet collected has no environment left, and no command line.
    let command = fs::read(proc.join("cmdline")).ok().filter(|line| !line.is_empty())?;
    let command = String::from_utf8_lossy(&command).replace('\0', " ").trim().to_owned();
    let program = fs::read_link(proc.join("exe")).unwrap_or_default();
    let program = program.file_name().unwrap_or_default().to_string_lossy().trim_end_matches(" (deleted)").to_owned();
    let process = Process { pid, program, command };
    let marked = fs::read(proc.join("environ")).is_ok_and(|environ| is_marked(&environ, dir));
    let lives_there = || fs::read_link(proc.join("cwd")).is_ok_and(|cwd| cwd.starts_with(dir.join("run")));
    (marked || process.is_database() && lives_there()).then_some(process)
}

fn is_marked(environ: &[u8], dir: &Path) -> bool {
    let wanted = [MARK.as_bytes(), b"=", dir.as_os_str().as_bytes()].concat();
    environ.split(|byte| *byte == 0).any(|entry| entry == wanted)
}

impl Process {
    /// Whether it is a database server. PostgreSQL writes its title over its environment, so that the mark is lost in
    /// its children; they stay in their data directory all the same.
    fn is_database(&self) -> bool {
        matches!(self.program.as_str(), "postgres" | "mariadbd")
    }

    fn is_control_plane(&self) -> bool {
        self.program == "rewind-local"
    }
}

/// Ends every process of the stack in `dir`, in order, whatever state they are in. Answers how many there were.
///
/// # Errors
///
/// When one can't be ended, such as another user's.
pub fn sweep(dir: &Path) -> Result<usize, Unstoppable> {
    let before = alive(dir);
    let planes: Vec<Process> = before.iter().filter(|process| process.is_control_plane()).cloned().collect();
    signal(&planes, dir, Signal::TERM);
    wait_until(GRACE, || planes.iter().all(|process| look(process.pid, dir).is_none()));
    // A stack keeps no data, so what is left need not write any: databases drop everything, the others just end.
    let (databases, others): (Vec<_>, Vec<_>) = alive(dir).into_iter().partition(Process::is_database);
    signal(&others, dir, Signal::KILL);
    signal(&databases, dir, Signal::QUIT);
    if !wait_until(DROP, || alive(dir).is_empty()) {
        signal(&alive(dir), dir, Signal::KILL);
        wait_until(DROP, || alive(dir).is_empty());
    }
    let left = alive(dir);
    if left.is_empty() { Ok(before.len()) } else { Err(Unstoppable(left)) }
}

fn wait_until(longest: Duration, done: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + longest;
    loop {
        if done() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(POLL);
    }
}

/// Sends a signal to those of `processes` that are still of the stack: a number may have been given away since.
fn signal(processes: &[Process], dir: &Path, signal: Signal) {
    for process in processes {
        let Some(pid) = Pid::from_raw(process.pid) else { continue };
        let Ok(handle) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else { continue };
        // Looked at again with the handle open: from here on the number can't change hands.
        if look(process.pid, dir).is_some() {
            // One that ended meanwhile is what was wanted; one that may not be signalled is found by the caller.
            let _ = rustix::process::pidfd_send_signal(&handle, signal);
        }
    }
}

/// Processes of the stack that would not end.
#[derive(Debug, thiserror::Error)]
pub struct Unstoppable(Vec<Process>);

impl std::fmt::Display for Unstoppable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("these processes of an earlier start do not end:")?;
        for Process { pid, command, .. } in &self.0 {
            write!(f, " {pid} ({command})")?;
        }
        f.write_str("; nothing else was changed; next step: end them as the user who started them, and try again")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stack directory of its own, and its removal.
    struct Scratch(Layout);

    impl Scratch {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("rewind-process-{name}-{}", std::process::id()));
            let layout = Layout { root: dir.clone(), dir };
            fs::create_dir_all(layout.logs()).unwrap();
            Self(layout)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = sweep(&self.0.dir);
            let _ = fs::remove_dir_all(&self.0.dir);
        }
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_sweep_ends_grandchildren_whose_parent_was_killed() {
        let scratch = Scratch::new("orphans");
        let dir = scratch.0.dir.clone();
        let mut parent = start(&scratch.0, "parent", &mut shell("sleep 600 & sleep 600 & wait")).unwrap();
        // Counted once they are what they will be: a process that is just becoming another program shows as nothing.
        while alive(&dir).iter().filter(|process| process.program == "sleep").count() < 2 {
            thread::sleep(POLL);
        }
        parent.kill().unwrap();
        parent.wait().unwrap();
        assert_eq!(alive(&dir).len(), 2);
        assert_eq!(sweep(&dir).unwrap(), 2);
        assert_eq!(alive(&dir), []);
    }

    #[test]
    fn a_process_that_ignores_requests_is_ended_all_the_same() {
        let scratch = Scratch::new("stubborn");
        let mut child = start(&scratch.0, "s", &mut shell("trap '' TERM INT; while :; do sleep 1; done")).unwrap();
        let reaper = thread::spawn(move || child.wait());
        thread::sleep(Duration::from_millis(200));
        assert!(sweep(&scratch.0.dir).unwrap() >= 1);
        assert_eq!(alive(&scratch.0.dir), []);
        reaper.join().unwrap().unwrap();
    }

    #[test]
    fn another_stack_and_a_shell_that_names_the_directory_are_left_alone() {
        let (mine, other) = (Scratch::new("mine"), Scratch::new("mine-too"));
        let mut neighbour = start(&other.0, "n", Command::new("sleep").arg("600")).unwrap();
        let mut bystander = Command::new("sleep");
        bystander.arg("600").env("REWIND_STACK_DIR", &mine.0.dir).current_dir(&mine.0.dir);
        let mut bystander = bystander.spawn().unwrap();
        assert_eq!(sweep(&mine.0.dir).unwrap(), 0);
        assert!(neighbour.try_wait().unwrap().is_none());
        assert!(bystander.try_wait().unwrap().is_none());
        bystander.kill().unwrap();
        bystander.wait().unwrap();
        neighbour.kill().unwrap();
        neighbour.wait().unwrap();
    }

    #[test]
    fn the_log_before_is_kept() {
        let scratch = Scratch::new("logs");
        for word in ["one", "two"] {
            start(&scratch.0, "x", &mut shell(&format!("echo {word}"))).unwrap().wait().unwrap();
        }
        assert_eq!(fs::read_to_string(scratch.0.log("x")).unwrap(), "two\n");
        assert_eq!(fs::read_to_string(scratch.0.log("x").with_extension("previous.log")).unwrap(), "one\n");
    }
}
