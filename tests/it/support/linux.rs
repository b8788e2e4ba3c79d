//! What Linux shows about a process, and what a test can take away from one.

use super::files::{at, folder};
use super::process::INSTALL;
use rustix::process::{Pid, Resource, Rlimit};
use std::fs::{read_dir, read_to_string};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

/// The time that all its threads have had on a processor; those that have ended don't count.
#[track_caller]
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
#[track_caller]
pub fn files(pid: u32) -> usize {
    read_dir(format!("/proc/{pid}/fd")).expect("it runs").count()
}

/// How many threads it has.
#[track_caller]
pub fn threads(pid: u32) -> usize {
    read_dir(format!("/proc/{pid}/task")).expect("it runs").count()
}

/// The memory that it has at the moment, in bytes.
#[track_caller]
pub fn memory(pid: u32) -> u64 {
    kib(pid, "VmRSS:") * 1024
}

/// The most memory that it has had so far, in bytes.
#[track_caller]
pub fn memory_peak(pid: u32) -> u64 {
    kib(pid, "VmHWM:") * 1024
}

#[track_caller]
fn kib(pid: u32, name: &str) -> u64 {
    let status = read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let value = status.lines().find_map(|line| line.strip_prefix(name));
    value.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse().ok()).expect("Linux tells")
}

/// From now on it may have this many files open, those that it has included.
#[track_caller]
pub fn limit_files(pid: u32, files: usize) {
    let (pid, files) = (Pid::from_raw(pid.cast_signed()), Some(files as u64));
    let limit = Rlimit { current: files, maximum: files };
    rustix::process::prlimit(pid, Resource::Nofile, limit).expect("it runs, and has no fewer");
}

/// Lets this process, which is all the tests, have a thousand files open for one of them: many systems let it have 1024
/// unless it asks for more.
pub fn raise_own_limit_on_files() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let all = Rlimit { current: limit.maximum, maximum: limit.maximum };
    rustix::process::setrlimit(Resource::Nofile, all).expect("up to the maximum it is free");
}

/// A port that it listens on at 127.0.0.1, where it could not tell which.
#[track_caller]
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

/// Bytes that wait to be sent or acknowledged at this port of 127.0.0.1, for each connection that has some.
#[track_caller]
pub fn unsent(port: u16) -> Vec<u64> {
    let table = read_to_string("/proc/net/tcp").expect("Linux tells");
    let of_line = |line: &str| {
        let columns: Vec<_> = line.split_whitespace().collect();
        let (sent, _received) = columns.get(4)?.split_once(':')?;
        let ours = *columns.get(1)? == format!("0100007F:{port:04X}");
        u64::from_str_radix(sent, 16).ok().filter(|&bytes| ours && bytes > 0)
    };
    table.lines().skip(1).filter_map(of_line).collect()
}

/// Runs a command that must succeed.
#[track_caller]
pub fn run(command: &mut Command) {
    let status = command.status();
    assert!(status.as_ref().is_ok_and(|status| status.success()), "{command:?}: {status:?}; {INSTALL}");
}

/// The processes that `pid` has started and not waited for, living or dead.
#[track_caller]
pub fn children(pid: u32) -> Vec<u32> {
    let tasks = read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let lists = tasks.filter_map(|task| read_to_string(task.ok()?.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}

/// `unshare`, which gives its command a namespace of its own (`--net`): as root, or as a user who may be root there.
pub fn unshare(options: &str) -> Command {
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args(options.split(' ')).arg("--");
    command
}

/// Whether we are in a network of our own, where packets may be dropped. If not, this very test, `name`, is run again in
/// one, and must pass there.
#[track_caller]
pub fn in_own_network(name: &str) -> bool {
    let inside = in_own("--net", name);
    if inside {
        run(Command::new("ip").args(["link", "set", "lo", "up"]));
    }
    inside
}

/// The same for a place where we may mount what we like.
#[track_caller]
pub fn in_own_mounts(name: &str) -> bool {
    in_own("--mount", name)
}

#[track_caller]
fn in_own(namespace: &str, name: &str) -> bool {
    const INSIDE: &str = "SSE_PIPE_TEST_OWN_NAMESPACE";
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let mut command = unshare(namespace);
    command.arg(std::env::current_exe().expect("it runs")).args(["--exact", name, "--include-ignored", "--nocapture"]);
    let output = command.env(INSIDE, "1").output().unwrap_or_else(|error| panic!("{command:?}: {error}; {INSTALL}"));
    let (told, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && told.contains("\ntest result: ok. 1 passed"), "{command:?}: {told}\n{errors}");
    eprint!("{errors}");
    false
}

/// The kernel that lies (tests/faults), to be loaded before the C library.
pub static LYING_KERNEL: LazyLock<PathBuf> = LazyLock::new(|| {
    let library = folder("lying-kernel").join("library.so");
    compile("lying-kernel.c", &library, &["-shared", "-fPIC", "-ldl"]);
    library
});

/// A sandbox that refuses a system call (tests/faults).
pub static REFUSE: LazyLock<PathBuf> = LazyLock::new(|| {
    let program = folder("refuse").join("refuse");
    compile("refuse.c", &program, &[]);
    program
});

/// Compiles a file of tests/faults.
fn compile(source: &str, output: &Path, options: &[&str]) {
    let mut cc = Command::new("cc"); // without which Rust could not link either
    cc.args(["-Wall", "-Werror", "-o"]).arg(output).arg(at("tests/faults").join(source)).args(options);
    let status = cc.status();
    assert!(status.as_ref().is_ok_and(|status| status.success()), "{cc:?}: {status:?}");
}
