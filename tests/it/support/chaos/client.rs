//! A client of the chaos: it sends a request, reads in its own way, is cut off and reconnects. The oracle judges what
//! it gets.
//!
//! ```text
//! Away ──▶ Connected ──▶ Away …     ──▶ Done
//! ```

use super::framing::{Answer, Part, Version};
use super::habits::{Habits, Reading};
use super::oracle::{Asked, LastId, Stream};
use super::round::{Phase, Round};
use super::settings::{Ending, Ids, Pace};
use super::tally::Tally;
use crate::support::random::Random;
use rustix::net::sockopt::set_socket_linger;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// The kernels hold about so much between the program and a client: reading less than this may look like reading nothing.
const BETWEEN: usize = 512 << 10;
/// One that has left so short a time ago is still waited for at the end: well below the 2 s that are promised.
const LATELY: Duration = Duration::from_secs(1);
/// After the end of the input it reconnects at most this often.
const RETURNS: u32 = 20;

pub struct Client<'a> {
    round: &'a Round,
    nth: usize,
    random: Random,
    habits: Habits,
    /// Whether it comes when all others are done, if the program still waits for a first client.
    is_last: bool,
    state: State<'a>,
    last: Option<LastId>,
    /// When its last stream was over, if the program must know it for one that returns.
    left: Option<Instant>,
    returns: u32,
    pub tally: Tally,
}

enum State<'a> {
    Away(Instant),
    Connected(Box<Connection<'a>>),
    Done,
}

struct Connection<'a> {
    socket: TcpStream,
    /// The part of the request that is sent a little later.
    unsent: Vec<u8>,
    began: Instant,
    answer: Answer,
    stream: Stream<'a>,
    /// How many more bytes it reads.
    life: u64,
    half_closed: bool,
    /// Not a new client after the end, who gains no time.
    is_waited_for: bool,
    /// Since when it has not read everything that was there, nor very much; the longest such time.
    since: Instant,
    taken: usize,
    lapse: Duration,
    last_read: Instant,
}

impl<'a> Client<'a> {
    pub fn new(round: &'a Round, nth: usize, mut random: Random) -> Client<'a> {
        let habits = Habits::choose(&mut random, round.settings.stall);
        let away = Duration::from_millis(random.pick(&[0, 0, 20, 300]));
        let state = State::Away(Instant::now() + away);
        let (is_last, last, left, returns, tally) = (false, None, None, 0, Tally::default());
        Client { round, nth, random, habits, is_last, state, last, left, returns, tally }
    }

    /// One that comes when all others are done, and stays.
    pub fn last(round: &'a Round, random: Random) -> Client<'a> {
        let client = Client::new(round, round.standings.len(), random);
        Client { habits: Habits::patient(), is_last: true, state: State::Away(Instant::now()), ..client }
    }

    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Its socket, if it reads now.
    pub fn reads(&self) -> Option<&TcpStream> {
        match &self.state {
            State::Connected(connection) if self.may_read(connection) > 0 => Some(&connection.socket),
            _ => None,
        }
    }

    /// Does what must be done now.
    pub fn turn(&mut self, block: &mut [u8]) -> Result<(), String> {
        match &self.state {
            State::Away(until) if Instant::now() >= *until => self.arrive(),
            State::Connected(_) => self.attend(block),
            _ => Ok(()),
        }?;
        if let Some(standing) = self.round.standings.get(self.nth) {
            standing.store(self.standing());
        }
        Ok(())
    }

    /// Which record it waits for, if it reads as fast as it can.
    fn standing(&self) -> Option<u64> {
        match &self.state {
            State::Connected(on) if self.habits.reading == Reading::Fast && !on.half_closed => {
                on.stream.next().map(|next| *next.end())
            }
            _ => None,
        }
    }

    fn arrive(&mut self) -> Result<(), String> {
        let (phase, ending) = (self.round.phase(), self.round.settings.ending);
        let comes_back = match (phase, ending) {
            (Phase::Live, _) => true,
            (Phase::Ended, _) if self.is_last => self.returns < RETURNS && self.round.waits_for_first(),
            (Phase::Ended, Ending::Wait) => self.habits.is_event_source && self.returns < RETURNS,
            (Phase::Ended, Ending::Serve) => self.returns < 2,
            _ => false,
        };
        if !comes_back {
            self.state = State::Done;
            return Ok(());
        }
        self.returns += u32::from(phase == Phase::Ended);
        match self.connect() {
            Ok(connection) => {
                self.state = State::Connected(Box::new(connection));
                self.tally.connections += 1;
                Ok(())
            }
            Err(error) => self.turned_away(&format!("cannot connect: {error}")),
        }
    }

    /// It got no answer at all.
    fn turned_away(&mut self, why: &str) -> Result<(), String> {
        let is_waited_for = self.round.settings.ending == Ending::Wait
            && self.habits.is_event_source
            && self.last.is_some()
            && !self.round.has_newcomer_gone()
            && self.left.is_some_and(|left| left.elapsed() < LATELY);
        match self.round.phase() {
            Phase::Live => Err(why.to_owned()),
            Phase::Ended if self.round.settings.ending == Ending::Serve => Err(why.to_owned()),
            Phase::Ended if is_waited_for => {
                Err(format!("{why}; it left {:?} ago, and must be waited for", self.left.map(|left| left.elapsed())))
            }
            _ => {
                self.state = State::Done;
                Ok(())
            }
        }
    }

    fn connect(&mut self) -> std::io::Result<Connection<'a>> {
        let (round, random) = (self.round, &mut self.random);
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        if self.habits.reading != Reading::Fast {
            // Little room in the kernel, so that what it doesn't read is soon felt.
            socket.set_recv_buffer_size(random.pick(&[16, 64, 256]) << 10)?;
        }
        let before = round.before();
        socket.connect(&round.address.into())?;
        let mut socket = TcpStream::from(socket);
        let is_live = round.phase() == Phase::Live;
        // An ID that was never given would stand for another EventSource that is waited for.
        let invents = is_live && !self.habits.is_event_source && random.one_in(8);
        let asked = match self.last.clone() {
            _ if round.settings.ids == Ids::None => Asked::New,
            _ if invents => Asked::Unknown,
            Some(_) if is_live && random.one_in(6) => Asked::New,
            Some(last) => Asked::After(last),
            None => Asked::New,
        };
        let id = match &asked {
            Asked::New => None,
            Asked::After(last) => Some(last.id.as_str()),
            Asked::Unknown => Some(random.pick(&["another-7", "0", "k0"])),
        };
        let request = self.habits.request(id, random);
        let mut life = if is_live { random.pick(self.habits.lives) } else { u64::MAX };
        if life != u64::MAX {
            life = random.within(0..=life);
        }
        let cut = if random.one_in(8) { random.below(request.len() as u64) as usize } else { request.len() };
        let is_waited_for = matches!(asked, Asked::After(_));
        let is_new = asked == Asked::New;
        let last = if is_new { None } else { self.last.clone() };
        self.last = last.clone();
        let stream = Stream::new(&round.settings, &round.script, asked, before, self.habits.as_events, last);
        // The program may have ended because of its 204 before it has read that.
        if !is_live && is_new && stream.may_be_over(self.habits.is_event_source) {
            round.newcomer_goes();
        }
        socket.write_all(&request[..cut])?;
        socket.set_nonblocking(true)?;
        let now = Instant::now();
        Ok(Connection {
            socket,
            unsent: request[cut..].to_vec(),
            began: now,
            answer: Answer::new(self.habits.version),
            is_waited_for,
            stream,
            life,
            half_closed: false,
            since: now,
            taken: 0,
            lapse: Duration::ZERO,
            last_read: now,
        })
    }

    /// How many bytes it may read at this moment.
    fn may_read(&self, on: &Connection) -> usize {
        let most = match self.round.phase() {
            Phase::Live => self.habits.may_read(on.began.elapsed(), on.last_read.elapsed()),
            _ => self.habits.may_read_at_the_end(on.began.elapsed()),
        };
        most.min(on.life.try_into().unwrap_or(usize::MAX))
    }

    fn attend(&mut self, block: &mut [u8]) -> Result<(), String> {
        let State::Connected(mut on) = std::mem::replace(&mut self.state, State::Done) else { return Ok(()) };
        on.lapse = on.lapse.max(on.since.elapsed());
        if !on.unsent.is_empty() && on.began.elapsed() > Duration::from_millis(5) {
            let unsent = std::mem::take(&mut on.unsent);
            if let Err(error) = on.socket.write_all(&unsent) {
                return self.cut(*on, Err(error));
            }
        }
        if on.life == 0 && (on.unsent.is_empty() || self.random.one_in(2)) {
            return self.die(*on);
        }
        let most = self.may_read(&on).min(block.len());
        if most == 0 || !on.unsent.is_empty() {
            self.state = State::Connected(on);
            return Ok(());
        }
        match on.socket.read(&mut block[..most]) {
            Ok(0) => self.cut(*on, Ok(())),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                (on.since, on.taken) = (Instant::now(), 0);
                self.state = State::Connected(on);
                Ok(())
            }
            Err(error) => self.cut(*on, Err(error)),
            Ok(n) => {
                on.life -= n as u64;
                on.taken += n;
                if on.taken > BETWEEN {
                    (on.since, on.taken) = (Instant::now(), 0);
                }
                on.last_read = Instant::now();
                self.tally.bytes += n as u64;
                on.answer.push(&block[..n]);
                self.check(on)
            }
        }
    }

    /// Looks at all that is complete.
    fn check(&mut self, mut on: Box<Connection<'a>>) -> Result<(), String> {
        loop {
            let part = on.answer.next().map_err(|error| format!("{error}; {}", on.stream.shown()))?;
            match part {
                None => break,
                Some(Part::Stream) => {
                    self.round.joined();
                    on.is_waited_for |= self.round.phase() == Phase::Live;
                    self.tally.streams += 1;
                }
                Some(Part::NoContent) => return self.farewell(&on),
                Some(Part::Last) => return self.proper_end(*on),
                Some(Part::Block(block)) => {
                    if on.stream.take(&block, self.round.written())? {
                        self.tally.records += 1;
                        let received = on.stream.next().map_or(0, |next| next.start() - 1);
                        self.round.received(received);
                    }
                }
            }
        }
        self.state = State::Connected(on);
        Ok(())
    }

    fn die(&mut self, mut on: Connection<'a>) -> Result<(), String> {
        match self.random.below(3) {
            0 => {}
            1 => set_socket_linger(&on.socket, Some(Duration::ZERO)).expect("is a socket"),
            _ => {
                // Whatever still comes must be right.
                let _ = on.socket.shutdown(Shutdown::Write);
                (on.half_closed, on.life) = (true, u64::MAX);
                self.state = State::Connected(Box::new(on));
                return Ok(());
            }
        }
        self.tally.left_early += 1;
        self.leave(on);
        Ok(())
    }

    fn farewell(&mut self, on: &Connection) -> Result<(), String> {
        self.tally.farewells += 1;
        let ended = self.round.phase() != Phase::Live && self.round.settings.ending != Ending::Signal;
        if !ended || !on.stream.may_be_over(self.habits.is_event_source) {
            return Err(format!("204 in phase {:?}, {}", self.round.phase(), on.stream.shown()));
        }
        if *on.stream.asked() == Asked::New {
            self.round.newcomer_goes();
        }
        self.state = State::Done;
        Ok(())
    }

    /// The last-chunk has come.
    fn proper_end(&mut self, on: Connection<'a>) -> Result<(), String> {
        let end = self.round.script.last() + 1;
        let next = on.stream.next();
        let has = |number| next.as_ref().is_some_and(|next| next.contains(&number));
        match self.round.phase() {
            Phase::Live => return Err(format!("the stream ended, but the input goes on; {}", on.stream.shown())),
            Phase::Signalled => {
                // All get what the log holds, and so all end with the same record.
                let end = self
                    .round
                    .end_of_all(next.as_ref().filter(|next| next.start() == next.end()).map(|next| *next.end()));
                if end.is_some_and(|end| !has(end)) {
                    let shown = on.stream.shown();
                    return Err(format!(
                        "ended after another record than others, who were to get {end:?} next; {shown}"
                    ));
                }
            }
            _ if !has(end) => return Err(format!("ended before it had everything; {}", on.stream.shown())),
            _ => {}
        }
        self.tally.proper_ends += 1;
        self.leave(on);
        Ok(())
    }

    /// The connection is over without a last-chunk: by FIN, or by an error.
    fn cut(&mut self, on: Connection<'a>, how: std::io::Result<()>) -> Result<(), String> {
        let (round, phase) = (self.round, self.round.phase());
        let (ending, pace, stall) = (round.settings.ending, round.settings.pace, round.settings.stall);
        on.stream.may_be_cut_with(on.answer.rest())?;
        if on.half_closed {
            self.tally.left_early += 1;
            self.leave(on);
            return Ok(());
        }
        let is_reset = how.is_err();
        let how = how.map_or_else(|error| error.to_string(), |()| "end of file".to_owned());
        if !on.answer.has_head() {
            // What it was to begin with may be evicted before its answer is sent, as long as input is being read.
            let may_be_behind = pace != Pace::Slowest && round.script.surely_held_from(round.written()) > 1;
            if may_be_behind && is_reset && !on.stream.began_after_the_input() {
                self.tally.left_early += 1; // whether it counts as dropped is not known
                if phase != Phase::Signalled {
                    self.leave(on);
                    return Ok(());
                }
            }
            return self.turned_away(&format!("no answer: {how}"));
        }
        let next = on.stream.next();
        let has_all = next.as_ref().is_some_and(|next| next.contains(&(round.script.last() + 1)));
        // Without chunks the close is the end, but one that is dropped is reset.
        let is_whole = self.habits.version == Version::Http10 && on.answer.rest().is_empty() && !is_reset;
        if is_whole && has_all && phase != Phase::Live && ending != Ending::Signal {
            return self.proper_end(on);
        }
        let is_behind = next.is_some_and(|next| *next.start() < round.script.surely_held_from(round.written()));
        if phase == Phase::Signalled {
            self.tally.cut_after_signal += u64::from(!is_whole);
        } else if on.lapse >= stall * 9 / 10 {
            self.tally.stalled += 1;
        } else if is_behind && pace != Pace::Slowest {
            self.tally.behind += 1;
        } else {
            let (written, lapse) = (round.written(), on.lapse);
            return Err(format!(
                "cut off ({how}) in phase {phase:?}, though it read on (at most {lapse:?} without), and {written} records \
                 are written; {}",
                on.stream.shown()
            ));
        }
        self.leave(on);
        self.left = None; // the program dropped it at some time before it saw that
        Ok(())
    }

    /// A connection is over, one way or the other.
    fn leave(&mut self, on: Connection<'a>) {
        if on.answer.has_head() {
            // One that was slow to read the end has left long before, to the program; one whose ID is not known is not
            // waited for again and again.
            let is_waited_for = on.is_waited_for && on.lapse < LATELY / 2 && on.stream.gap() != Some(None);
            self.left = is_waited_for.then(Instant::now);
            match on.stream.gap() {
                None => self.tally.resumed += u64::from(matches!(on.stream.asked(), Asked::After(_))),
                Some(Some(_)) => self.tally.gaps += 1,
                Some(None) => self.tally.unknown += 1,
            }
            let tail_id = on.stream.tail_id.clone().filter(|_| self.habits.takes_tail_id);
            self.last = on.stream.last.clone().or(tail_id);
        }
        let away = match self.round.phase() {
            Phase::Live => self.random.pick(&[0, 0, 5, 50, 400]),
            _ => self.random.below(self.round.settings.retry.1 + 1),
        };
        self.state = State::Away(Instant::now() + Duration::from_millis(away));
    }

    /// Who it is and what it does, for a person to read.
    pub fn shown(&self) -> String {
        format!("client {}, {:?}, last event ID {:?}", self.nth, self.habits, self.last)
    }
}
