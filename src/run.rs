//! One run of the program, step by step: build the parts, start the workers, announce, start the reader, serve.

use crate::browser::{self, Handover, Page};
use crate::config::Config;
use crate::counters::Counters;
use crate::feed::gate::{Bounds, Gate, Young};
use crate::feed::publisher::{Publisher, Wake};
use crate::input::encoder::EncoderConfig;
use crate::input::reader::{Reader, ReaderConfig};
use crate::input::source::{Format, Pointers};
use crate::input::tee::Tee;
use crate::limits::{Capacity, FileLimit, OF_STORE};
use crate::log::batch::Draft;
use crate::log::id::Run;
use crate::log::memory::{BLOCK, Memory};
use crate::log::own_ids::OwnIds;
use crate::log::store::ids::IdTable;
use crate::log::store::{Contents, Options, Store, Tell, Word};
use crate::log::{Ids, Log};
use crate::report::Report;
use crate::sanitize::sanitize;
use crate::serve::drain::Drain;
use crate::serve::files::{self, Job, PageReader};
use crate::serve::inbox::Inbox;
use crate::serve::listen::{Address, Listening, listen};
use crate::serve::server::{self, Finish, Server, ServerMessage};
use crate::serve::shared::Shared;
use crate::serve::worker::Worker;
use crate::signals::{self, Asked};
use anyhow::{Context, Result};
use std::hash::{BuildHasher, RandomState};
use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

/// Serves standard input as `config` says, with this limit on open files. Returns how it ended, and whether the run was
/// whole.
pub fn run(config: Config, limit: FileLimit, report: &Arc<Report>) -> Result<(Finish, bool)> {
    // Small compared to the buffer, because the log drops whole batches.
    let memory = Arc::new(Memory::new(BLOCK.min(config.delivery.buffer / 8)));
    let counters = Arc::new(Counters::default());
    let kept = config.store.clone().map(|options| open_store(options, &memory, &counters, report)).transpose()?;
    let (store, contents) = kept.unzip();
    let nothing = || Contents { run: fresh_run(), batches: Vec::new(), last: 0, id_tables: Vec::new() };
    let Contents { run, batches, last, id_tables } = contents.unwrap_or_else(nothing);
    let poll = mio::Poll::new().context("cannot wait for clients")?;
    let waker = Arc::new(mio::Waker::new(poll.registry(), server::WAKER).context("cannot wait for clients")?);
    let (sender, messages) = channel();
    let threads = Threads { sender, waker: Arc::clone(&waker) };
    watch_signals(&threads)?;

    let Listening { listeners, addresses } = listen(&config.listen.binds, config.listen.port)?;
    let of_store = if store.is_some() { OF_STORE } else { 0 };
    let files = limit.files.saturating_sub(of_store);
    let room = Capacity::within(files, listeners.len(), config.delivery.threads);
    let capacity = Capacity { clients: config.listen.max_clients.unwrap_or(room.clients), ..room };
    if !room.segments {
        memory.refuse_files();
    }
    let ids = ids(&config.input.format, id_tables);
    if let Ids::OwnElseRun(index) | Ids::Own(index) = &ids {
        batches.iter().for_each(|batch| batch.find_own_ids(index, run));
    }
    let view = || Log::new(run, ids.clone());
    let log = view().with(batches, last);
    let draft = Draft::new(Arc::clone(&memory)).after(&log);
    let (page, files) = config.page.clone().map(PageReader::new).unzip();
    let shared = Arc::new(share(&config, log, &memory, files, capacity.clients, waker, counters, report));
    let inboxes = start_workers(view, &shared, &threads)?;
    if let Some(page) = page {
        let inboxes = inboxes.clone();
        threads.spawn("page reader", move || {
            page.run(&inboxes);
            None
        })?;
    }
    let server = Server::new(poll, listeners, inboxes.clone(), messages, Arc::clone(&shared), capacity, config.at_eof)?;

    announce(&config, &addresses, capacity, room, &shared);
    let _handover = open_browser(&config, &addresses, limit, &shared);
    if let Some(store) = &store {
        store.begin()?;
    }
    let reader = reader(config, run, ids.clone(), draft, store.clone(), &inboxes, &shared)?;
    threads.spawn("reader", move || Some(ServerMessage::InputOver(reader.run())))?;

    let (finish, went_well) = server.run()?;
    if let Some(store) = store {
        if let Ids::OwnElseRun(index) | Ids::Own(index) = &ids {
            index.close();
        }
        store.close();
    }
    report.flush(); // so that there is room for the last line
    report.say(shared.counters.summary());
    Ok((finish, went_well && shared.counters.is_whole()))
}

/// A run that never existed before.
fn fresh_run() -> Run {
    Run::new(RandomState::new().hash_one(std::process::id()))
}

/// Opens the store. Its messages are reported, and a failure is remembered.
fn open_store(
    options: Options,
    memory: &Arc<Memory>,
    counters: &Arc<Counters>,
    report: &Arc<Report>,
) -> Result<(Arc<Store>, Contents)> {
    let (counters, report) = (Arc::clone(counters), Arc::clone(report));
    let tell: Tell = Arc::new(move |word| match word {
        Word::Note(text) => report.error(text),
        Word::Failure(text) => {
            counters.store_failed.store(true, Ordering::Relaxed);
            report.error(text);
        }
    });
    let (store, contents) = Store::open(options, fresh_run(), memory, tell)?;
    Ok((Arc::new(store), contents))
}

#[allow(clippy::too_many_arguments)]
fn share(
    config: &Config,
    log: Log,
    memory: &Arc<Memory>,
    files: Option<Sender<Job>>,
    max_clients: usize,
    server: Arc<mio::Waker>,
    counters: Arc<Counters>,
    report: &Arc<Report>,
) -> Shared {
    let delivery = &config.delivery;
    let young = config.store.as_ref().map(|_| Young::of(delivery.buffer));
    let bounds = Bounds { pace: delivery.pace, buffer: delivery.buffer, history: delivery.history, young };
    let gate = Gate::new(bounds, log, Arc::clone(memory), Arc::clone(&counters), delivery.threads);
    Shared {
        service: config.service.clone(),
        files,
        max_clients,
        heartbeat: delivery.heartbeat,
        stall: delivery.stall,
        retry: delivery.retry,
        gate: Arc::new(gate),
        counters,
        drain: Mutex::new(Drain::new(delivery.retry.1)),
        report: Arc::clone(report),
        loads: (0..delivery.threads).map(|_| AtomicUsize::new(0)).collect(),
        short: AtomicUsize::new(0),
        ending: AtomicUsize::new(0),
        parted: AtomicUsize::new(0),
        watched: AtomicBool::new(false),
        server,
    }
}

/// Which IDs entries have.
fn ids(format: &Format, tables: Vec<IdTable>) -> Ids {
    let index = || Arc::new(OwnIds::with_tables(tables));
    match format {
        Format::Json(_, Pointers { id: Some(_), .. }) | Format::JsonTexts(Some(Pointers { id: Some(_), .. })) => {
            Ids::OwnElseRun(index())
        }
        Format::EventStream { .. } => Ids::Own(index()),
        Format::Lines(_) | Format::Json(..) | Format::JsonTexts(_) => Ids::Run,
    }
}

/// Starts the workers, each with its own view of the log.
fn start_workers(view: impl Fn() -> Log, shared: &Arc<Shared>, threads: &Threads) -> Result<Vec<Inbox>> {
    let start = |index| {
        let (worker, inbox) = Worker::new(index, view(), Arc::clone(shared)).context("cannot start a worker")?;
        threads.spawn("worker", move || Some(ServerMessage::Died(died("a worker", worker.run()))))?;
        Ok(inbox)
    };
    (0..shared.loads.len()).map(start).collect()
}

/// Reports where it listens, and warns about what looks wrong.
fn announce(config: &Config, addresses: &[Address], capacity: Capacity, room: Capacity, shared: &Arc<Shared>) {
    let report = &shared.report;
    let token = access_token(config);
    for address in addresses {
        match address {
            Address::Url(url) => report.say(format_args!("listening on {url}{token}")),
            Address::Unix(path) => report.say(format_args!("listening on {path}")),
        }
    }
    if capacity.clients > room.clients {
        let (wanted, most) = (capacity.clients, room.clients);
        let text = format!("--max-clients {wanted}: the limit on open files has room for {most} (see ulimit -n)");
        report.error(text);
    }
    if let Some(path) = &config.exposed_token_file {
        let path = sanitize(&path.to_string_lossy());
        report.error(format_args!("--token-file {path}: others can read it; try chmod 600 {path}"));
    }
    if let Some(path) = config.page.as_deref()
        && let Some(why) = files::what_is_missing(path, config.service.page)
    {
        let path = sanitize(&path.to_string_lossy());
        report.error(format_args!("--page {path}: {why}; it is looked for again at each request"));
    }
    match (std::io::stdin().is_terminal(), config.input.tee) {
        (true, _) => {
            report.say("reading the keyboard: each line is sent to all clients; Ctrl-D ends");
            report.say("it is made for pipes: ping localhost | sse-pipe (help: sse-pipe -h)");
        }
        // What is typed, or what the next program of the pipe prints, would be on the same screen: no status line.
        (false, true) => {}
        (false, false) => report.keep_status(Box::new(Arc::clone(&shared.counters).status())),
    }
}

/// The part of a URL that has the token; empty without one.
fn access_token(config: &Config) -> String {
    config.service.token.as_ref().map(|token| format!("?access_token={}", token.in_url())).unwrap_or_default()
}

/// Opens the page in the person's browser (`--open`).
fn open_browser(config: &Config, addresses: &[Address], limit: FileLimit, shared: &Arc<Shared>) -> Option<Handover> {
    let url = addresses.iter().find_map(|address| match address {
        Address::Url(url) => Some(url),
        Address::Unix(_) => None,
    });
    let url = url.filter(|_| config.open)?;
    let counters = Arc::clone(&shared.counters);
    let page = Page { url: format!("{url}{}", access_token(config)), secret: config.service.token.is_some() };
    browser::open(page, limit.inherited, move || counters.has_joined(), &shared.report)
}

fn reader(
    config: Config,
    run: Run,
    ids: Ids,
    draft: Draft,
    store: Option<Arc<Store>>,
    inboxes: &[Inbox],
    shared: &Shared,
) -> Result<Reader> {
    let Config { input, delivery, service, .. } = config;
    let gives_run_ids = match ids {
        Ids::Run => service.ids,
        Ids::OwnElseRun(_) => true,
        Ids::Own(_) => false,
    };
    let encoder = EncoderConfig {
        event: input.event,
        ids: gives_run_ids.then_some(run),
        max_record: input.max_record,
        buffer: delivery.buffer,
    };
    let keeps_all = store.is_none() && delivery.history.is_none_or(|entries| entries == u64::MAX);
    let reading = ReaderConfig { format: input.format, encoder, end_event: input.end_event, keeps_all };
    let tee = input.tee.then(Tee::stdout).transpose().context("--tee: cannot use standard output")?;
    let draft = match ids {
        Ids::Run => draft,
        Ids::OwnElseRun(index) | Ids::Own(index) => draft.with_own_ids(index),
    };
    let wake = |inbox: &Inbox| -> Wake {
        let inbox = inbox.clone();
        Box::new(move || inbox.wake())
    };
    let wakes = inboxes.iter().map(wake).collect();
    let publisher = Publisher::new(Arc::clone(&shared.gate), wakes, input.wait).keeping(store);
    Ok(Reader::new(reading, tee, draft, publisher, Arc::clone(&shared.counters), Arc::clone(&shared.report)))
}

fn watch_signals(threads: &Threads) -> Result<()> {
    let signals = signals::watch()?;
    let to_server = threads.clone();
    threads.spawn("signals", move || {
        signals::listen(signals, |asked| {
            to_server.notify(match asked {
                Asked::End(signal) => ServerMessage::Signal(signal),
                Asked::Statistics => ServerMessage::Statistics,
            });
        });
        None
    })
}

/// What the other threads need to reach the server: a channel for messages, and a waker.
#[derive(Clone)]
struct Threads {
    sender: Sender<ServerMessage>,
    waker: Arc<mio::Waker>,
}

impl Threads {
    fn notify(&self, message: ServerMessage) {
        // Either fails only when the server is gone, and the program with it.
        let _ = self.sender.send(message);
        let _ = self.waker.wake();
    }

    /// Starts a thread. What it returns goes to the server, and so does a panic: no thread dies unnoticed.
    fn spawn(&self, name: &'static str, body: impl FnOnce() -> Option<ServerMessage> + Send + 'static) -> Result<()> {
        let threads = self.clone();
        let thread = move || {
            let last_word = LastWord { threads, name };
            if let Some(message) = body() {
                last_word.threads.notify(message);
            }
        };
        thread::Builder::new().name(name.into()).spawn(thread).with_context(|| format!("cannot start the {name}"))?;
        Ok(())
    }
}

struct LastWord {
    threads: Threads,
    name: &'static str,
}

impl Drop for LastWord {
    fn drop(&mut self) {
        if thread::panicking() {
            self.threads.notify(ServerMessage::Died(format!("the {} failed; this is a bug", self.name)));
        }
    }
}

fn died(who: &str, result: std::io::Result<()>) -> String {
    match result {
        Ok(()) => format!("{who} stopped; this is a bug"),
        Err(error) => format!("{who} failed: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_thread_that_dies_is_reported_to_the_server_which_ends_the_program() {
        let poll = mio::Poll::new().expect("can wait");
        let waker = Arc::new(mio::Waker::new(poll.registry(), server::WAKER).expect("can wake"));
        let (sender, messages) = channel();
        let threads = Threads { sender, waker };
        threads.spawn("worker", || panic!("this is a test")).expect("can start");
        match messages.recv_timeout(Duration::from_secs(30)) {
            Ok(ServerMessage::Died(text)) => assert_eq!(text, "the worker failed; this is a bug"),
            other => panic!("{other:?}"),
        }
    }
}
