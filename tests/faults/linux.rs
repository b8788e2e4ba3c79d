//! What Linux tells of a process, and what it lets a test take away from one.

use std::fs::{read_dir, read_to_string};
use std::process::Command;
use std::time::Duration;

/// The time that all its threads have had on a processor; those that have ended don't count.
pub fn cpu_time(pid: u32) -> Duration {
    let tasks = read_dir(format!("/proc/{pid}/task")).expect("it runs");
    // sched/sched-stats.rst: the first number is the time on the processor, in nanoseconds.
    let time = |task: std::io::Result<std::fs::DirEntry>| {
        let stat = read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        stat.split(' ').next()?.parse::<u64>().ok()
    };
    Duration::from_nanos(tasks.filter_map(time).sum())
}

/// How many files it has open.
pub fn files(pid: u32) -> usize {
    read_dir(format!("/proc/{pid}/fd")).expect("it runs").count()
}

/// How many threads it has.
pub fn threads(pid: u32) -> usize {
    read_dir(format!("/proc/{pid}/task")).expect("it runs").count()
}

/// The memory that it has at the moment, in bytes.
pub fn memory(pid: u32) -> u64 {
    let status = read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = resident.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.expect("Linux tells") * 1024
}

/// From now on it may have so many files open, those that it has included.
pub fn limit_files(pid: u32, files: usize) {
    run(Command::new("prlimit").args([format!("--pid={pid}"), format!("--nofile={files}:{files}")]));
}

/// A port that it listens on at 127.0.0.1, where it could not tell which.
pub fn listening_port(pid: u32) -> Option<u16> {
    let files = read_dir(format!("/proc/{pid}/fd")).ok()?;
    let targets = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
    let sockets: Vec<String> = targets
        .filter_map(|target| Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let table = read_to_string(format!("/proc/{pid}/net/tcp")).ok()?;
    table.lines().skip(1).find_map(|line| {
        let columns: Vec<_> = line.split_whitespace().collect();
        let (local, state, inode) = (columns.get(1)?, columns.get(3)?, columns.get(9)?);
        let port = local.strip_prefix("0100007F:")?;
        let ours = *state == "0A" && sockets.iter().any(|socket| socket == inode);
        ours.then(|| u16::from_str_radix(port, 16).ok()).flatten()
    })
}

/// Runs a command that must succeed.
pub fn run(command: &mut Command) {
    let status = command.status();
    assert!(status.as_ref().is_ok_and(|status| status.success()), "{command:?}: {status:?}; see tests/run");
}

/// Whether we are in a network of our own, where packets may be dropped. Where not, this very test, `name`, is run
/// again in one, and must pass there. Where the machine permits no such thing, it is skipped, and says so.
pub fn in_own_network(name: &str) -> bool {
    const INSIDE: &str = "SSE_PIPE_TEST_OWN_NETWORK";
    if std::env::var_os(INSIDE).is_some() {
        run(Command::new("ip").args(["link", "set", "lo", "up"]));
        return true;
    }
    if !may_unshare("--net") {
        return false;
    }
    let program = std::env::current_exe().expect("it runs");
    run(Command::new("unshare")
        .args(["--net", "--"])
        .arg(program)
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1"));
    false
}

/// Whether this process may have a namespace of its own; where not, the reason is told.
pub fn may_unshare(what: &str) -> bool {
    let output = Command::new("unshare").args([what, "true"]).output().expect("see tests/run");
    if !output.status.success() {
        eprintln!("skipped: no namespace of our own: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    output.status.success()
}
