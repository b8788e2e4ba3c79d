//! Connection draining: which clients have joined, which have left, and which still need a goodbye (behaviour 1.8).
//!
//! An EventSource always reconnects after a closed stream; only 204 stops it for good. So at the end the port stays
//! open until each has got its 204, including those that were disconnected at that moment.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A page may need this long beyond its reconnection time to reconnect.
const GRACE: Duration = Duration::from_secs(2);

/// Whether a client reconnects after its stream has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returns {
    /// No: curl, and every client that did not ask for `text/event-stream` or had no stream.
    Never,
    /// Yes: an EventSource.
    Surely,
    /// Yes: an EventSource that reconnected after the end. It has its own time too, but with a limit: one whose ID is
    /// unknown each time would keep the program running forever.
    Again,
    /// An EventSource that first connected after the end. It gets its 204 if there is time, but does not extend the
    /// time: a client that always connects as a new one could keep the program running forever.
    Late,
}

/// What is known about an EventSource whose stream begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comes {
    /// It sent a last event ID.
    Back,
    /// It sent none, and will get one.
    New,
    /// It sent none, and there is none for it yet: the event of this number is the last that has one.
    Nameless(u64),
}

/// Keeps track of clients that join and leave. Changed once per connection, never per event.
#[derive(Debug)]
pub struct Drain {
    /// The longest reconnection time of clients.
    longest_retry: Duration,
    /// Connections that must still get something: a stream, an answer, a proper close.
    owed: usize,
    /// EventSources that left recently and have not reconnected yet, oldest first.
    away: VecDeque<Instant>,
    /// How many connected without an ID after the event of this number, the last that has one. They may reconnect
    /// without an ID too; no other client can.
    nameless: (u64, usize),
    goodbye: Option<Goodbye>,
}

/// The time after the end of the input.
#[derive(Debug)]
struct Goodbye {
    /// EventSources that will reconnect for their 204.
    expected: usize,
    /// We wait no longer than this for them.
    until: Instant,
    /// Those that reconnect meanwhile don't move it beyond this.
    last: Instant,
}

impl Drain {
    /// No client has connected yet.
    pub fn new(longest_retry: Duration) -> Drain {
        Drain { longest_retry, owed: 0, away: VecDeque::new(), nameless: (0, 0), goodbye: None }
    }

    /// A client has sent a request; from now on until [`Drain::leave`] we wait for it.
    pub fn ask(&mut self) {
        self.owed += 1;
    }

    /// A stream begins, for an EventSource that has sent its request.
    pub fn join(&mut self, comes: Comes) {
        match (comes, &mut self.goodbye) {
            (Comes::New, _) => {}
            (Comes::Nameless(last), _) if last == self.nameless.0 => self.nameless.1 += 1,
            (Comes::Nameless(last), _) => self.nameless = (last, 1),
            (Comes::Back, Some(goodbye)) => goodbye.expected = goodbye.expected.saturating_sub(1),
            (Comes::Back, None) => drop(self.away.pop_front()),
        }
    }

    /// A connection is over, no matter who ended it.
    pub fn leave(&mut self, returns: Returns, now: Instant) {
        self.owed -= 1;
        match (&mut self.goodbye, returns) {
            (_, Returns::Never) => {}
            (Some(goodbye), _) => {
                goodbye.expected += 1;
                let wait = self.longest_retry + GRACE;
                match returns {
                    // The number of those that were connected at the end is fixed, so each has its own time, from its
                    // own end.
                    Returns::Surely => (goodbye.until, goodbye.last) = (now + wait, now + 2 * wait),
                    Returns::Again => goodbye.until = goodbye.until.max(goodbye.last.min(now + wait)),
                    Returns::Late | Returns::Never => {}
                }
            }
            (None, _) => {
                self.forget(now);
                self.away.push_back(now);
            }
        }
    }

    /// A client got its 204. If it is new, or has reconnected without an ID, the event of the number `nameless` is the
    /// last that has one.
    pub fn farewell(&mut self, nameless: Option<u64>) {
        if let Some(last) = nameless {
            if self.nameless.0 != last || self.nameless.1 == 0 {
                return; // it is new, and was not expected
            }
            self.nameless.1 -= 1;
        }
        if let Some(goodbye) = &mut self.goodbye {
            goodbye.expected = goodbye.expected.saturating_sub(1);
        }
    }

    /// The input is over.
    pub fn end(&mut self, now: Instant) {
        self.forget(now);
        let wait = self.longest_retry + GRACE;
        // Twice: one that was disconnected reconnects for the rest, and then for its 204.
        self.goodbye = Some(Goodbye { expected: self.away.len(), until: now + wait, last: now + 2 * wait });
    }

    /// Whether all connected clients have everything.
    pub fn nobody_owed(&self) -> bool {
        self.owed == 0
    }

    /// Until when to wait for clients after the end; `None` if none is expected.
    pub fn waits_until(&self, now: Instant) -> Option<Instant> {
        let goodbye = self.goodbye.as_ref()?;
        (goodbye.expected > 0 && now < goodbye.until).then_some(goodbye.until)
    }

    fn forget(&mut self, now: Instant) {
        while self.away.front().is_some_and(|&left| now.duration_since(left) > self.longest_retry + GRACE) {
            self.away.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: Duration = Duration::from_secs(3);

    fn come_back(drain: &mut Drain) {
        drain.ask();
        drain.join(Comes::Back);
    }

    #[test]
    fn waits_for_each_event_source_and_no_other_client() {
        let now = Instant::now();
        let mut drain = Drain::new(RETRY);
        for _ in 0..3 {
            drain.ask();
        }
        drain.end(now);
        drain.leave(Returns::Never, now); // curl
        drain.leave(Returns::Surely, now);
        drain.leave(Returns::Surely, now);
        assert_eq!((drain.nobody_owed(), drain.waits_until(now)), (true, Some(now + RETRY + GRACE)));
        drain.farewell(None);
        assert!(drain.waits_until(now).is_some());
        drain.farewell(None);
        assert_eq!(drain.waits_until(now), None, "both had their 204");
        drain.farewell(None);
        assert_eq!(drain.waits_until(now), None, "one more does no harm");
    }

    #[test]
    fn a_new_client_takes_only_the_place_of_one_that_was_given_no_id() {
        let now = Instant::now();
        let mut drain = Drain::new(RETRY);
        for comes in [Comes::Nameless(0), Comes::New, Comes::Nameless(5), Comes::Nameless(5)] {
            drain.ask();
            drain.join(comes); // the first has an ID since event 5
        }
        drain.end(now);
        for _ in 0..4 {
            drain.leave(Returns::Surely, now);
        }
        for _ in 0..5 {
            drain.farewell(Some(5));
        }
        drain.farewell(None);
        assert!(drain.waits_until(now).is_some(), "one that has an ID did not come back yet");
        drain.farewell(None);
        assert_eq!(drain.waits_until(now), None);
    }

    #[test]
    fn waits_no_longer_than_the_longest_reconnection_time_and_a_grace() {
        let now = Instant::now();
        let mut drain = Drain::new(RETRY);
        drain.ask();
        drain.end(now);
        let later = now + Duration::from_secs(10); // a slow client: its time counts from its own end
        drain.leave(Returns::Surely, later);
        assert_eq!(drain.waits_until(later), Some(later + RETRY + GRACE));
        drain.ask();
        drain.leave(Returns::Late, later + RETRY);
        assert_eq!(drain.waits_until(later + RETRY), Some(later + RETRY + GRACE), "a newcomer gains no time");
        assert_eq!(drain.waits_until(later + RETRY + GRACE), None);
    }

    #[test]
    fn one_that_was_away_at_the_end_is_waited_for_and_gets_the_rest_then_its_204() {
        let now = Instant::now();
        let mut drain = Drain::new(RETRY);
        for _ in 0..3 {
            drain.ask();
        }
        drain.leave(Returns::Surely, now - 3 * RETRY); // long ago: it is gone for good
        drain.leave(Returns::Surely, now - RETRY / 2);
        drain.leave(Returns::Surely, now - RETRY / 3);
        come_back(&mut drain); // one of the two reconnected
        drain.ask(); // and a curl with an ID, which is not one of the expected clients
        drain.leave(Returns::Never, now);
        drain.leave(Returns::Never, now);
        drain.end(now);
        assert!(drain.waits_until(now).is_some());
        come_back(&mut drain);
        assert_eq!(drain.waits_until(now), None, "it has come back, and its stream is waited for instead");
        drain.leave(Returns::Surely, now);
        assert!(drain.waits_until(now).is_some(), "now for its 204");
        drain.farewell(None);
        assert_eq!(drain.waits_until(now), None);
    }

    #[test]
    fn one_that_reconnects_again_and_again_is_waited_for_twice_and_no_longer() {
        let now = Instant::now();
        let wait = RETRY + GRACE;
        // How long a client takes to reconnect each time, and how long the program waits for it in total.
        for (between, want) in [
            (Duration::from_millis(1), 2 * wait),
            (Duration::from_secs(1), 2 * wait),
            (RETRY, 2 * wait),
            (wait - Duration::from_millis(1), 2 * wait),
            (wait, wait),
        ] {
            for present in [true, false] {
                let mut drain = Drain::new(RETRY);
                drain.ask();
                let mut at = now;
                if present {
                    drain.end(at);
                    drain.leave(Returns::Surely, at);
                } else {
                    drain.leave(Returns::Surely, at);
                    drain.end(at);
                }
                while let Some(until) = drain.waits_until(at) {
                    assert!(at < now + 3 * wait, "every {between:?}: it is waited for without end");
                    at = until.min(at + between);
                    if at < until {
                        come_back(&mut drain);
                        drain.leave(Returns::Again, at);
                    }
                }
                assert_eq!(at - now, want, "every {between:?}");
            }
        }
    }

    #[test]
    fn the_bound_counts_from_the_last_stream_that_was_there_at_the_end() {
        let (now, wait) = (Instant::now(), RETRY + GRACE);
        let mut drain = Drain::new(RETRY);
        drain.ask();
        drain.end(now);
        let cut = now + Duration::from_secs(100); // a slow one, whose connection then breaks
        drain.leave(Returns::Surely, cut);
        come_back(&mut drain);
        drain.leave(Returns::Again, cut + RETRY); // it has the rest now
        assert_eq!(drain.waits_until(cut + RETRY), Some(cut + RETRY + wait), "for its 204");
    }
}
