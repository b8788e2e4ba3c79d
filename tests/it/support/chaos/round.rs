//! A round: the program, a producer, the clients, signals, all at the same time.

use super::client::Client;
use super::judge::judge;
use super::oracle::Before;
use super::script::{Script, Step};
use super::settings::{Ending, Settings};
use super::tally::Tally;
use crate::support::linux::memory_peak;
use crate::support::program::Program;
use crate::support::random::Random;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::Write;
use std::net::SocketAddr;
use std::process::ChildStdin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Whatever is due comes within this time, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(15);
/// A crowd gets an input of at most this many bytes.
const CROWD_INPUT: usize = 4_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Live,
    /// The input has ended, or will in this moment.
    Ended,
    /// SIGTERM was sent, or will be in this moment.
    Signalled,
}

/// What all threads of a round share.
pub struct Round {
    pub settings: Settings,
    pub script: Script,
    pub address: SocketAddr,
    phase: Mutex<Phase>,
    /// How many records have been written, the one being written included.
    written: AtomicU64,
    /// A record that a client has received, and whether any client had an answer.
    received: AtomicU64,
    joined: AtomicBool,
    /// Whether one without an ID got 204. It counts as one that has returned, so another may not be waited for.
    newcomer_gone: AtomicBool,
    pub standings: Vec<Standing>,
    /// The record after the last that all got before they were ended by the signal.
    end_of_all: OnceLock<u64>,
    /// When SIGTERM was sent.
    pub signalled: OnceLock<Instant>,
    /// What went wrong first.
    fault: Mutex<Option<String>>,
}

/// Which record a client waits for, if it reads as fast as it can.
#[derive(Default)]
pub struct Standing(AtomicU64);

impl Standing {
    pub fn store(&self, next: Option<u64>) {
        self.0.store(next.unwrap_or(u64::MAX), SeqCst);
    }
}

/// Plays the round of this seed. An error says what was expected and what came.
pub fn play(seed: u64) -> Result<Tally, String> {
    let mut random = Random::seeded(seed);
    let settings = Settings::choose(&mut random);
    let script = Script::write(&settings, &mut random);
    let args = settings.args();
    let mut program = Program::start(&args.iter().map(String::as_str).collect::<Vec<_>>());
    // A crowd is served in another way (a flood from files in memory). Of a long input it would take too long.
    let crowd = if script.input.len() <= CROWD_INPUT { 40 } else { 12 };
    let clients = random.pick(&[2, 5, 12, 2, 5, 12, crowd]);
    let round = Round::new(settings, script, program.address(), clients);
    let tally = round.run(&mut program, &mut random);
    let patience = PATIENCE + round.settings.stall;
    if !round.has_fault() && !program.has_ended_within(patience) {
        round.fail(format!("it has not ended within {patience:?}"));
    }
    if let Some(fault) = round.fault().take() {
        return Err(format!("{fault}\n  sse-pipe {}\n  it said {:#?}", args.join(" "), in_short(&program.told)));
    }
    let ended = program.end();
    let (status, told) = (ended.status, in_short(&ended.told));
    match judge(&round, &ended, &tally) {
        Ok(()) => Ok(tally),
        Err(fault) => Err(format!("{fault}\n  sse-pipe {}\n  {tally:?}\n  {status}, {told:#?}", args.join(" "))),
    }
}

impl Round {
    fn new(settings: Settings, script: Script, address: SocketAddr, clients: usize) -> Round {
        Round {
            settings,
            script,
            address,
            phase: Mutex::new(Phase::Live),
            written: AtomicU64::new(0),
            received: AtomicU64::new(0),
            joined: AtomicBool::new(false),
            newcomer_gone: AtomicBool::new(false),
            standings: (0..clients).map(|_| Standing(AtomicU64::new(u64::MAX))).collect(),
            end_of_all: OnceLock::new(),
            signalled: OnceLock::new(),
            fault: Mutex::new(None),
        }
    }

    /// Everything at the same time, until all clients are done. After a fault the program is dead.
    fn run(&self, program: &mut Program, random: &mut Random) -> Tally {
        let input = program.take_stdin();
        let mut tally = Tally { rounds: 1, ..Tally::default() };
        std::thread::scope(|scope| {
            let producer = scope.spawn(|| self.produce(input));
            let clients = (0..self.standings.len()).map(|nth| Client::new(self, nth, Random::seeded(random.number())));
            let (mut some, mut others): (Vec<_>, Vec<_>) = (Vec::new(), Vec::new());
            clients
                .enumerate()
                .for_each(|(nth, client)| if nth % 2 == 0 { &mut some } else { &mut others }.push(client));
            let drivers = [some, others].map(|clients| scope.spawn(|| self.drive(clients)));
            tally.statistics = self.disturb(program, random, || producer.is_finished());
            if !self.has_fault() {
                tally.memory_kib = memory_peak(program.pid()).saturating_sub(self.settings.buffer) >> 10;
                self.end(program, || producer.join().expect("the producer doesn't panic"), random);
            }
            for driver in drivers {
                tally += &driver.join().expect("a driver doesn't panic");
            }
            if self.waits_for_first() {
                tally += &self.drive(vec![Client::last(self, Random::seeded(random.number()))]);
            }
            if self.has_fault() {
                program.signal("KILL"); // or the producer might wait for it
            }
        });
        tally
    }

    /// Stops and asks the program now and then, until its end is due. Tells how often it was asked for statistics.
    fn disturb(&self, program: &Program, random: &mut Random, is_written: impl Fn() -> bool) -> u64 {
        let cut_at = random.within(0..=self.script.last());
        let is_due = || is_written() || (self.settings.ending == Ending::Signal && self.written() >= cut_at);
        let (mut stops, mut asked) = (0, 0);
        while !is_due() && !self.has_fault() {
            sleep(Duration::from_millis(random.within(1..=150)));
            match random.below(8) {
                0 => {
                    program.signal("USR1");
                    asked += 1;
                }
                1 if stops < 3 => {
                    program.signal("STOP");
                    sleep(Duration::from_millis(random.pick(&[5, 50, 300])));
                    program.signal("CONT");
                    stops += 1;
                }
                _ => {}
            }
        }
        asked
    }

    /// Ends the input, or the program, or the one and then the other.
    fn end(&self, program: &Program, input: impl FnOnce() -> ChildStdin, random: &mut Random) {
        if self.settings.ending != Ending::Signal {
            let input = input();
            self.written.store(self.script.last(), SeqCst);
            self.enter(Phase::Ended);
            drop(input);
        }
        if self.settings.ending == Ending::Serve {
            self.settle();
            sleep(Duration::from_millis(random.below(100)));
        }
        if matches!(self.settings.ending, Ending::Serve | Ending::Signal) {
            self.enter(Phase::Signalled);
            let _ = self.signalled.set(Instant::now());
            program.signal("TERM");
        }
    }

    pub fn phase(&self) -> Phase {
        *self.phase.lock().expect("nobody panics with it")
    }

    fn enter(&self, phase: Phase) {
        *self.phase.lock().expect("nobody panics with it") = phase;
    }

    pub fn written(&self) -> u64 {
        self.written.load(SeqCst)
    }

    pub fn before(&self) -> Before {
        Before { received: self.received.load(SeqCst), joined: self.joined.load(SeqCst) }
    }

    pub fn joined(&self) {
        self.joined.store(true, SeqCst);
    }

    /// Whether the program may wait for a first client (behaviour 1.6, 1.8): all were cut off before they had a stream, or
    /// before the reader saw that they had one.
    pub fn waits_for_first(&self) -> bool {
        let joined = self.joined.load(SeqCst);
        let waits = self.settings.wait > 0 && self.received.load(SeqCst) == 0;
        self.phase() == Phase::Ended && (waits || (!joined && self.settings.ending == Ending::Wait))
    }

    pub fn newcomer_goes(&self) {
        self.newcomer_gone.store(true, SeqCst);
    }

    pub fn has_newcomer_gone(&self) -> bool {
        self.newcomer_gone.load(SeqCst)
    }

    pub fn received(&self, record: u64) {
        self.received.fetch_max(record, SeqCst);
    }

    /// The record that nobody gets any more, once it's known; the first that says one decides.
    pub fn end_of_all(&self, next: Option<u64>) -> Option<u64> {
        next.map(|next| *self.end_of_all.get_or_init(|| next)).or(self.end_of_all.get().copied())
    }

    fn fault(&self) -> MutexGuard<'_, Option<String>> {
        self.fault.lock().expect("nobody panics with it")
    }

    fn fail(&self, fault: String) {
        self.fault().get_or_insert(fault);
    }

    fn has_fault(&self) -> bool {
        self.fault().is_some()
    }

    fn is_over(&self) -> bool {
        self.has_fault() || self.phase() == Phase::Signalled
    }

    /// Writes the input, as the script has it. Returns what is to be closed.
    fn produce(&self, mut input: ChildStdin) -> ChildStdin {
        for step in &self.script.steps {
            match step {
                Step::Pause(time) => sleep(*time),
                Step::Settle => self.settle(),
                Step::Write(records, piece) => {
                    self.written.store(records.end - 1, SeqCst);
                    for piece in self.script.bytes(records).chunks(*piece) {
                        if let Err(error) = input.write_all(piece) {
                            if !self.is_over() {
                                self.fail(format!("the input can't be written: {error}"));
                            }
                            return input;
                        }
                    }
                }
            }
            if self.is_over() {
                break;
            }
        }
        input
    }

    /// Waits until all who read as fast as they can have what is written.
    fn settle(&self) {
        let deadline = Instant::now() + PATIENCE + self.settings.stall.min(Duration::from_secs(2));
        let written = self.written();
        let late = || self.standings.iter().position(|Standing(next)| next.load(SeqCst) <= written);
        while let Some(client) = late() {
            if self.is_over() {
                return;
            }
            if Instant::now() > deadline {
                let next = self.standings[client].0.load(SeqCst);
                return self.fail(format!(
                    "nothing comes any more: client {client} waits for record {next}, and {written} are written"
                ));
            }
            sleep(Duration::from_millis(1));
        }
    }

    /// Drives these clients until all are done.
    fn drive(&self, mut clients: Vec<Client>) -> Tally {
        let mut block = vec![0; 256 << 10];
        let mut deadline = None;
        while clients.iter().any(|client| !client.is_done()) && !self.has_fault() {
            if self.phase() != Phase::Live {
                let deadline = *deadline.get_or_insert_with(|| Instant::now() + 2 * PATIENCE + self.settings.stall);
                if Instant::now() > deadline {
                    let late: Vec<_> = clients.iter().filter(|client| !client.is_done()).map(Client::shown).collect();
                    self.fail(format!("not over in time for {late:#?}"));
                }
            }
            wait_for_any(&clients);
            for client in &mut clients {
                if let Err(fault) = client.turn(&mut block) {
                    self.fail(format!("{}:\n  {fault}", client.shown()));
                }
            }
        }
        let mut tally = Tally::default();
        clients.iter().for_each(|client| tally += &client.tally);
        tally
    }
}

/// What it said, without each record that was skipped.
fn in_short(told: &[String]) -> Vec<&String> {
    told.iter().filter(|line| !line.starts_with("sse-pipe: record ")).collect()
}

/// Waits a moment for bytes.
fn wait_for_any(clients: &[Client]) {
    let mut fds: Vec<_> =
        clients.iter().filter_map(Client::reads).map(|socket| PollFd::new(socket, PollFlags::IN)).collect();
    let moment = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
    poll(&mut fds, Some(&moment)).expect("sockets can be polled");
}
