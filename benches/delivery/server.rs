//! The program under test: started on its own processor, watched through `/proc`.

use anyhow::{Context, Result, bail, ensure};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};
use std::time::Duration;

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_sse-pipe");

/// Which processors the server and the clients have.
#[derive(Clone, Copy)]
pub struct Places {
    all: CpuSet,
    server: CpuSet,
    clients: CpuSet,
}

/// Where a server runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On its own processor.
    Own,
    /// On all that there are.
    All,
}

impl Places {
    /// One processor for the server and another for everything else; if there is only one, all share it.
    pub fn find() -> Result<Places> {
        let all = sched_getaffinity(None)?;
        let mut each = (0..CpuSet::MAX_CPU).filter(|&cpu| all.is_set(cpu)).map(|cpu| {
            let mut set = CpuSet::new();
            set.set(cpu);
            set
        });
        Ok(match (each.next(), each.next()) {
            (Some(server), Some(clients)) => Places { all, server, clients },
            _ => Places { all, server: all, clients: all },
        })
    }

    /// Whether server and clients have a processor each.
    pub fn are_apart(&self) -> bool {
        self.server != self.clients
    }

    /// This thread, and those that it starts from now on, are with the clients.
    pub fn take_clients_place(&self, place: Place) -> Result<()> {
        let set = if place == Place::Own { &self.clients } else { &self.all };
        sched_setaffinity(None, set).context("cannot choose a processor")
    }

    /// Starts a command: a child is where its parent was when it was born.
    pub fn spawn(&self, command: &mut Command, place: Place) -> Result<Child> {
        sched_setaffinity(None, if place == Place::Own { &self.server } else { &self.all })?;
        let child = command.spawn().with_context(|| format!("{command:?}"));
        self.take_clients_place(place)?;
        child
    }
}

/// A running server. It is killed when dropped, unless it has ended.
pub struct Server {
    child: Child,
    stderr: BufReader<ChildStderr>,
    /// Where it is fed.
    pub stdin: Option<ChildStdin>,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Starts one with these arguments, and waits until it listens.
    pub fn start(args: &[&str], places: &Places, place: Place) -> Result<Server> {
        let mut command = Command::new(BINARY);
        command.args(["--port", "0", "--no-id", "--at-eof", "exit"]).args(args);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = places.spawn(&mut command, place)?;
        let (stdin, stderr) = (child.stdin.take(), child.stderr.take().expect("is piped"));
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Server { child, stderr: BufReader::new(stderr), stdin, address };
        let mut line = String::new();
        while !line.contains("listening on ") {
            line.clear();
            ensure!(server.stderr.read_line(&mut line)? > 0, "{command:?} ended before it listened");
        }
        let port = line.rsplit(':').next().and_then(|rest| rest.split('/').next()?.parse().ok());
        server.address.set_port(port.with_context(|| format!("there is no port in {line:?}"))?);
        Ok(server)
    }

    /// Processor time that all its threads have used so far.
    pub fn cpu(&self) -> Result<Duration> {
        cpu(self.child.id())
    }

    /// Processor time that each of its workers has used so far.
    pub fn workers(&self) -> Result<Vec<Duration>> {
        let threads = threads(self.child.id())?.into_iter();
        let workers = threads.filter(|(name, _)| name == "worker").map(|(_, time)| time).collect::<Vec<_>>();
        ensure!(!workers.is_empty(), "the server has no thread that is called worker");
        Ok(workers)
    }

    /// Its resident memory in bytes.
    pub fn resident(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let size = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
        Ok(size.context("no VmRSS in /proc")?.parse::<u64>()? << 10)
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits until it has ended; it must have ended well.
    pub fn end(mut self) -> Result<()> {
        self.stdin = None;
        let mut told = String::new();
        self.stderr.read_to_string(&mut told)?;
        let status = self.child.wait()?;
        if !status.success() || told.contains("dropped") {
            bail!("the server ended with {status}, saying {told:?}");
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Processor time that all threads of a process have used so far.
pub fn cpu(process: u32) -> Result<Duration> {
    Ok(threads(process)?.into_iter().map(|(_, time)| time).sum())
}

/// The threads of a process in the order of their start: their names, and the processor time of each.
fn threads(process: u32) -> Result<Vec<(String, Duration)>> {
    let mut threads = Vec::new();
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let path = thread?.path();
        let stat = fs::read_to_string(path.join("schedstat"))?;
        let time = stat.split(' ').next().context("no time in /proc")?.parse()?;
        let name = fs::read_to_string(path.join("comm"))?;
        threads.push((name.trim_end().into(), Duration::from_nanos(time)));
    }
    Ok(threads)
}
