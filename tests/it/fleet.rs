//! The fleet of examples/fleet.sh: three sse-pipe read one Redis stream, HAProxy spreads the clients over them. One
//! instance is killed and one freezes while events arrive; every client still gets the whole sequence.

use crate::support::client::{Client, DEADLINE};
use crate::support::example::Example;
use crate::support::places::busy;
use crate::support::process::send_signal;
use crate::support::servers::Redis;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

const CLIENTS: usize = 100;
/// Between two events: a thousand a second.
const STEP: Duration = Duration::from_millis(1);
const EVENTS: usize = 9_500;
/// When the first instance is killed, and when the second freezes. All have reconnected by then as a rule: after 3 s at
/// most, and one more where HAProxy tried the dead instance first.
const KILL: usize = 1_000;
const FREEZE: usize = 5_500;
/// How long a client may take for all of it.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
#[ignore = "needs redis-server, haproxy and python3: tests/run"]
fn every_client_gets_a_whole_sequence_though_one_instance_is_killed_and_one_freezes() {
    let _places = busy();
    let mut redis = Redis::start();
    let ports = free_ports();
    let [balancer, first, second, third] = ports.map(|port| port.to_string());
    let script = format!("fleet.sh events {balancer} {first} {second} {third}");
    let mut fleet = Example::start(&script, &[("REDIS_URL", &redis.url())]);
    let mut process_of = |port: &str| {
        let told = format!("the instance at port {port} is process ");
        let line = fleet.told.iter().find(|line| line.contains(&told)).cloned();
        line.unwrap_or_else(|| fleet.wait_for(&told))
            .rsplit(' ')
            .next()
            .and_then(|pid| pid.parse().ok())
            .expect("ends with a number")
    };
    let (killed, frozen) = (process_of(&first), process_of(&second));
    if !fleet.told.iter().any(|line| line.contains("Loading success")) {
        fleet.wait_for("Loading success");
    }
    for port in &ports[1..] {
        wait_until_it_listens(*port);
    }

    let (joined, all_joined) = channel();
    let balancer = SocketAddr::from((Ipv4Addr::LOCALHOST, ports[0]));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let joined = joined.clone();
            spawn(move || follow(balancer, &joined))
        })
        .collect();
    // Each has the first event, so every instance is at work.
    let mut ids = vec![redis.add("events", "n", "0")];
    (0..CLIENTS).for_each(|_| all_joined.recv_timeout(DEADLINE).expect("all join"));

    let start = Instant::now();
    for number in 1..EVENTS {
        // This sets the rate; nothing is waited for.
        sleep((start + STEP * number as u32).saturating_duration_since(Instant::now()));
        ids.push(redis.add("events", "n", &number.to_string()));
        match number {
            KILL => send_signal("KILL", killed),
            FREEZE => send_signal("STOP", frozen),
            _ => {}
        }
    }
    let took = start.elapsed();
    let followed: Vec<_> = clients.into_iter().map(|client| client.join().expect("no client fails")).collect();
    send_signal("CONT", frozen);
    for (client, seen) in followed.iter().enumerate() {
        assert!(seen.ids == ids, "client {client} has other IDs than Redis gave");
    }
    let returns: usize = followed.iter().map(|seen| seen.returns).sum();
    let refusals: usize = followed.iter().map(|seen| seen.refusals).sum();
    println!(
        "{EVENTS} events in {took:?}; {CLIENTS} clients came back {returns} times and were refused {refusals} times"
    );
    // A third of them were at the instance that was killed, half of all at the one that froze then.
    assert!(returns >= CLIENTS / 2, "they came back {returns} times");
    assert!(refusals <= CLIENTS / 10, "they were refused {refusals} times");
    assert!(took < STEP * EVENTS as u32 * 3 / 2, "{EVENTS} events took {took:?}: these were no thousand a second");
}

/// What a client got.
struct Seen {
    ids: Vec<String>,
    /// How often its stream was cut and it reconnected.
    returns: usize,
    /// How often it was told that there is no instance.
    refusals: usize,
}

/// A client as the page of docs/own-pages.md: after a cut it reconnects after the time that it was sent, with the last
/// ID that it got; if the balancer has no answer, a second later. Fails at an event that is not the next.
fn follow(balancer: SocketAddr, joined: &Sender<()>) -> Seen {
    let mut seen = Seen { ids: Vec::new(), returns: 0, refusals: 0 };
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut socket = TcpStream::connect(balancer).expect("HAProxy listens");
        socket.set_read_timeout(Some(DEADLINE)).expect("is valid");
        let last = seen.ids.last().map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let request = format!("GET /events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n{last}\r\n");
        socket.write_all(request.as_bytes()).expect("it takes a request");
        let mut client = Client::read_head(socket, &request);
        if let 502 | 503 = client.status {
            // It was just being passed to an instance that failed.
            seen.refusals += 1;
            sleep(Duration::from_secs(1)); // as a client backs off; nothing is waited for
            continue;
        }
        assert_eq!(client.status, 200, "after {} events: {client:?}", seen.ids.len());
        while let Some(event) = client.next_event() {
            let want = format!("{{\"n\": \"{}\"}}", seen.ids.len());
            assert_eq!(event.data, want, "after {last:?} and {} events, {:?}", seen.ids.len(), client.comments);
            seen.ids.push(event.id);
            if seen.ids.len() == 1 {
                joined.send(()).expect("the test waits");
            }
            if seen.ids.len() == EVENTS {
                return seen;
            }
        }
        assert!(Instant::now() < deadline, "only {} events came in {PATIENCE:?}", seen.ids.len());
        seen.returns += 1;
        // What a browser does as well; nothing is waited for.
        sleep(Duration::from_millis(client.retry.expect("it was told its reconnection time")));
    }
}

/// Four ports that nobody has just now.
fn free_ports() -> [u16; 4] {
    let held = [(); 4].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a port"));
    held.each_ref().map(|listener| listener.local_addr().expect("is bound").port())
}

/// The fleet's lines come in any order.
#[track_caller]
fn wait_until_it_listens(port: u16) {
    let deadline = Instant::now() + DEADLINE;
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        assert!(Instant::now() < deadline, "nothing listens at {port}");
        std::thread::yield_now();
    }
}
