//! The stack's processes: started in a group of their own with a mark in their environment, found again by that mark.
//!
//! The mark tells which processes are of this stack whatever crashed or was killed; none is ever found by name alone.

use super::layout::Layout;
use anyhow::{Result, bail};
use rustix::process::{Pid, PidfdFlags, Signal};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The variable whose value is the directory of the stack that a process belongs to. Everything that a marked process starts inherits
/// it, the Lambda functions too. It is in no file that a shell reads: a person's own processes must not carry it.
const MARK: &str = "REWIND_STACK_PROCESS";
/// Time that the control plane gets: it stops its databases before it ends.
const CONTROL_PLANE_TIMEOUT: Duration = Duration::from_secs(8);
/// Time that a database gets: one that is told to drop everything only has to remove its shared memory.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(3);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Starts a process of the stack: marked, away from the terminal's signals, its output in the log of that name.
///
/// # Errors
///
/// When the log can't be written or the program can't be started.
pub fn start(layout: &Layout, name: &str, command: &mut Command) -> io::Result<Child> {
    let log = fresh_log(layout, name)?;
    command
        .env(MARK, &layout.dir)
        // Without a terminal behind it nothing of it can wait for a person.
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
    /// The process id.
    pub pid: i32,
    /// The program's file name.
    pub program: String,
    /// The command line, for a person.
    pub command: String,
}

/// Lists the processes of the stack in `dir` that live now.
pub fn alive(dir: &Path) -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let mut found: Vec<Process> = pids.filter_map(|pid| process_of_stack(pid, dir)).collect();
    found.sort_by_key(|process| process.pid);
    found
}

/// Reads a process from `/proc`; none unless it is of the stack in `dir`.
fn process_of_stack(pid: i32, dir: &Path) -> Option<Process> {
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
    /// True for a database server. PostgreSQL writes its title over its environment, so that the mark is lost in its children; they stay
    /// in their data directory all the same.
    fn is_database(&self) -> bool {
        matches!(self.program.as_str(), "postgres" | "mariadbd")
    }

    fn is_control_plane(&self) -> bool {
        self.program == "rewind-local"
    }
}

/// Ends every process of the stack in `dir`, in order, whatever state they are in. Returns how many there were.
///
/// # Errors
///
/// When one can't be ended, such as another user's.
pub fn stop_all(dir: &Path) -> Result<usize> {
    let before = alive(dir);
    // First and politely: a control plane that is killed leaves its database servers behind, and they hold the addresses.
    let control_planes: Vec<Process> = before.iter().filter(|process| process.is_control_plane()).cloned().collect();
    signal(&control_planes, dir, Signal::TERM);
    wait_until(CONTROL_PLANE_TIMEOUT, || {
        control_planes.iter().all(|process| process_of_stack(process.pid, dir).is_none())
    });
    // A stack keeps no data, so what is left need not write any: databases drop everything, the others just end.
    let (databases, others): (Vec<_>, Vec<_>) = alive(dir).into_iter().partition(Process::is_database);
    signal(&others, dir, Signal::KILL);
    signal(&databases, dir, Signal::QUIT);
    if !wait_until(DATABASE_TIMEOUT, || alive(dir).is_empty()) {
        signal(&alive(dir), dir, Signal::KILL);
        wait_until(DATABASE_TIMEOUT, || alive(dir).is_empty());
    }
    let left = alive(dir);
    if left.is_empty() {
        return Ok(before.len());
    }
    let named: Vec<String> = left.iter().map(|Process { pid, command, .. }| format!("{pid} ({command})")).collect();
    bail!(
        "these processes of an earlier start do not end: {}; nothing else was changed; next step: end them as the user who \
         started them, and try again",
        named.join(" ")
    )
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
        thread::sleep(POLL_INTERVAL);
    }
}

/// Sends a signal to those of `processes` that are still of the stack: a process id may have been given to another since.
fn signal(processes: &[Process], dir: &Path, signal: Signal) {
    for process in processes {
        let Some(pid) = Pid::from_raw(process.pid) else { continue };
        let Ok(handle) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else { continue };
        // Checked again with the handle open: from here on the id can't be given to another process.
        if process_of_stack(process.pid, dir).is_some() {
            // One that ended meanwhile is what was wanted; one that may not be signalled is found by the caller.
            let _ = rustix::process::pidfd_send_signal(&handle, signal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stack directory; its processes end with it.
    struct Scratch(Layout, #[expect(dead_code, reason = "held to be removed")] tempfile::TempDir);

    impl Scratch {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let layout = Layout { root: dir.path().to_owned(), dir: dir.path().to_owned() };
            fs::create_dir_all(layout.logs()).unwrap();
            Self(layout, dir)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = stop_all(&self.0.dir);
        }
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn grandchildren_end_whose_parent_was_killed() {
        let scratch = Scratch::new();
        let dir = scratch.0.dir.clone();
        let mut parent = start(&scratch.0, "parent", &mut shell("sleep 600 & sleep 600 & wait")).unwrap();
        // Counted once they are what they will be: a process that is just becoming another program shows as nothing.
        while alive(&dir).iter().filter(|process| process.program == "sleep").count() < 2 {
            thread::sleep(POLL_INTERVAL);
        }
        parent.kill().unwrap();
        parent.wait().unwrap();
        assert_eq!(alive(&dir).len(), 2);
        assert_eq!(stop_all(&dir).unwrap(), 2);
        assert_eq!(alive(&dir), []);
    }

    #[test]
    fn a_process_that_ignores_requests_is_ended_all_the_same() {
        let scratch = Scratch::new();
        let mut child = start(&scratch.0, "s", &mut shell("trap '' TERM INT; while :; do sleep 1; done")).unwrap();
        let reaper = thread::spawn(move || child.wait());
        thread::sleep(Duration::from_millis(200));
        assert!(stop_all(&scratch.0.dir).unwrap() >= 1);
        assert_eq!(alive(&scratch.0.dir), []);
        reaper.join().unwrap().unwrap();
    }

    #[test]
    fn another_stack_and_a_shell_that_names_the_directory_are_left_alone() {
        let (mine, other) = (Scratch::new(), Scratch::new());
        let mut neighbour = start(&other.0, "n", Command::new("sleep").arg("600")).unwrap();
        let mut bystander = Command::new("sleep");
        bystander.arg("600").env("REWIND_STACK_DIR", &mine.0.dir).current_dir(&mine.0.dir);
        let mut bystander = bystander.spawn().unwrap();
        assert_eq!(stop_all(&mine.0.dir).unwrap(), 0);
        assert!(neighbour.try_wait().unwrap().is_none());
        assert!(bystander.try_wait().unwrap().is_none());
        bystander.kill().unwrap();
        bystander.wait().unwrap();
        neighbour.kill().unwrap();
        neighbour.wait().unwrap();
    }

    #[test]
    fn the_log_before_is_kept() {
        let scratch = Scratch::new();
        for word in ["one", "two"] {
            start(&scratch.0, "x", &mut shell(&format!("echo {word}"))).unwrap().wait().unwrap();
        }
        assert_eq!(fs::read_to_string(scratch.0.log("x")).unwrap(), "two\n");
        assert_eq!(fs::read_to_string(scratch.0.log("x").with_extension("previous.log")).unwrap(), "one\n");
    }
}
