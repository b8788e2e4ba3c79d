//! What `--page` can meet on a disk (behaviour 6.3): slow or no answers, things that are not regular files, links that
//! change, files of any date. No stream waits for any of it.

use crate::support::client::{Client, DEADLINE};
use crate::support::files::{Folder, folder};
use crate::support::linux::{LYING_KERNEL, files, memory, raise_own_limit_on_files, run};
use crate::support::places::busy;
use crate::support::program::{BINARY, Program};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

fn serve(site: &Path) -> Program {
    Program::start(&["--page", site.to_str().expect("is text")])
}

/// One thread for all clients, and a page on a disk that is slow wherever a file's name says so.
fn serve_slowly(test: &str) -> (Program, PathBuf) {
    let site = folder(test);
    for name in ["slow-look-up.html", "slow-read.html", "quick.html"] {
        fs::write(site.join(name), name).expect("can be written");
    }
    let mut command = Command::new(BINARY);
    command.args(["--port", "0", "--threads", "1", "--page"]).arg(&site).env("LD_PRELOAD", &*LYING_KERNEL);
    (Program::start_command(command, Stdio::piped()), site)
}

/// Waits until the disk is asked for something that it has not.
fn until_asked(site: &Path) {
    let deadline = Instant::now() + DEADLINE;
    while !site.join("asked").exists() {
        assert!(Instant::now() < deadline, "the disk was never asked");
        std::thread::yield_now();
    }
}

fn release(site: &Path) {
    fs::write(site.join("released"), "").expect("can be written");
}

/// Sends a request for this path, and reads nothing.
fn ask(program: &Program, path: &str) -> TcpStream {
    let mut socket = program.connect();
    write!(socket, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it takes a request");
    socket
}

/// Whether bytes, or the end, come within this time.
fn answers(sockets: &[&TcpStream], time: Duration) -> Option<usize> {
    let mut all: Vec<_> = sockets.iter().map(|socket| PollFd::new(*socket, PollFlags::IN)).collect();
    let time = time.try_into().expect("is short");
    poll(&mut all, Some(&time)).expect("sockets can be polled");
    all.iter().position(|socket| !socket.revents().is_empty())
}

#[test]
fn no_stream_waits_for_a_slow_disk() {
    for name in ["slow-look-up.html", "slow-read.html"] {
        let (mut program, site) = serve_slowly(&format!("disk-{name}"));
        let mut stream = program.stream();
        let slow = ask(&program, &format!("/{name}"));
        until_asked(&site);
        for n in 0..10 {
            program.write(format!("{n}\n"));
            let event = stream.next_event_within(Duration::from_millis(500));
            assert_eq!(event.expect("it waits for the disk").data, n.to_string(), "{name}");
        }
        assert_eq!(program.get("/viewer", "").status, 200, "{name}");
        release(&site);
        let mut slow = Client::read_head(slow, name);
        assert_eq!((slow.status, slow.content().as_str()), (200, name));
    }
}

#[test]
fn a_client_that_leaves_while_the_disk_is_asked_is_let_go_and_the_next_does_not_get_its_file() {
    let (mut program, site) = serve_slowly("disk-leaves");
    let mut stream = program.stream();
    program.write("all is open\n");
    stream.data(1);
    let before = files(program.pid());
    let slow = ask(&program, "/slow-look-up.html");
    until_asked(&site);
    rustix::net::sockopt::set_socket_linger(&slow, Some(Duration::ZERO)).expect("is a socket");
    drop(slow);
    let deadline = Instant::now() + DEADLINE;
    while files(program.pid()) > before {
        assert!(Instant::now() < deadline, "it is not let go");
        program.write("turn\n");
        stream.data(1);
    }
    let next = ask(&program, "/quick.html"); // it has the same place among the clients
    assert_eq!(answers(&[&next], Duration::from_millis(200)), None, "it stands in line for the disk");
    release(&site);
    let mut next = Client::read_head(next, "quick");
    assert_eq!((next.status, next.content().as_str()), (200, "quick.html"));
}

#[test]
fn a_signal_ends_the_program_no_matter_what_the_disk_does() {
    for name in ["slow-look-up.html", "slow-read.html"] {
        let (program, site) = serve_slowly(&format!("disk-signal-{name}"));
        let _slow = ask(&program, &format!("/{name}"));
        until_asked(&site);
        program.signal("TERM");
        program.end_within(Duration::from_secs(5));
    }
}

#[test]
fn when_too_many_wait_for_the_disk_one_more_is_asked_to_come_again_later() {
    raise_own_limit_on_files();
    let (mut program, site) = serve_slowly("disk-many");
    let mut stream = program.stream();
    let all: Vec<_> = (0..1025).map(|_| ask(&program, "/slow-look-up.html")).collect();
    let sockets: Vec<_> = all.iter().collect();
    let refused = answers(&sockets, DEADLINE).expect("there is a bound to those that wait");
    program.write("a\n");
    assert_eq!(stream.data(1), ["a"]);
    release(&site);
    for (nth, socket) in all.into_iter().enumerate() {
        let client = Client::read_head(socket, "one of many");
        let want = if nth == refused { (503, Some("10".to_owned())) } else { (200, None) };
        assert_eq!((client.status, client.field("Retry-After")), want, "client {nth}");
    }
}

#[test]
fn who_writes_to_a_fifo_is_not_let_go() {
    for whole in [false, true] {
        let site = folder(if whole { "disk-fifo-page" } else { "disk-fifo" });
        let fifo = site.join("fifo.html");
        run(Command::new("mkfifo").arg(&fifo));
        let program = serve(if whole { &fifo } else { &site });
        let mut writer = Command::new("sh").args(["-c", "echo held >\"$0\""]).arg(&fifo).spawn().expect("starts");
        let in_open = |text: String| text.starts_with("257 "); // openat, on the processors that this runs on
        let deadline = Instant::now() + DEADLINE;
        let syscall = format!("/proc/{}/syscall", writer.id());
        while cfg!(target_arch = "x86_64") && !fs::read_to_string(&syscall).is_ok_and(in_open) {
            assert!(Instant::now() < deadline, "the writer does not wait");
            std::thread::yield_now();
        }
        for _ in 0..3 {
            assert_eq!(program.get(if whole { "/" } else { "/fifo.html" }, "Accept: text/html\r\n").status, 404);
        }
        let reader = rustix::fs::open(&fifo, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).expect("can be opened");
        let mut reader = fs::File::from(reader);
        let mut text = [0; 100];
        let n = loop {
            assert!(Instant::now() < deadline, "nothing was written: the writer was let go");
            match reader.read(&mut text) {
                Ok(0) => std::thread::yield_now(), // it has not opened it yet
                Ok(n) => break n,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        };
        assert_eq!(&text[..n], b"held\n");
        assert!(writer.wait().expect("is our child").success());
    }
}

#[test]
#[ignore = "needs setsid: tests/run"]
fn a_terminal_in_the_folder_does_not_become_ours() {
    // A process that leads a session and has no terminal gets the first one that it opens without care.
    let master =
        rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY).expect("a terminal");
    rustix::pty::grantpt(&master).and_then(|()| rustix::pty::unlockpt(&master)).expect("is ours");
    let slave = rustix::pty::ptsname(&master, Vec::new()).expect("has a name").into_string().expect("is text");
    let (folder, name) = slave.rsplit_once('/').expect("is a path");
    for (page, path) in [(folder, format!("/{name}")), (slave.as_str(), "/".to_owned())] {
        let mut command = Command::new("setsid");
        command.args([BINARY, "--port", "0", "--page", page]);
        let program = Program::start_command(command, Stdio::piped());
        assert_eq!(program.get(&path, "Accept: text/html\r\n").status, 404, "{page}");
        let stat = fs::read_to_string(format!("/proc/{}/stat", program.pid())).expect("it runs");
        let (_, fields) = stat.rsplit_once(") ").expect("has a name");
        let terminal = fields.split(' ').nth(4).expect("is the fifth");
        assert_eq!(terminal, "0", "{page}: {stat}");
    }
}

#[test]
fn a_device_is_not_a_page() {
    let program = serve(Path::new("/dev"));
    for path in ["/null", "/zero", "/full", "/tty"] {
        assert_eq!(program.get(path, "").status, 404, "{path}");
    }
}

#[test]
fn a_link_that_comes_and_goes_never_leads_outside() {
    const REQUESTS: usize = 3000;
    let around = folder("disk-swap");
    let site = around.join("site");
    for folder in ["site/folder", "out", "site/.hidden"] {
        fs::create_dir_all(around.join(folder)).expect("can be made");
    }
    for (path, content) in [
        ("site/folder/a.txt", "inside"),
        ("site/file.txt", "inside"),
        ("site/hidden.txt", "inside"),
        ("out/a.txt", "OUTSIDE"),
        ("site/.hidden/a.txt", "HIDDEN"),
    ] {
        fs::write(around.join(path), content).expect("can be written");
    }
    // Each changes places with what is there.
    let links = [("folder", "../out"), ("file.txt", "../out/a.txt"), ("hidden.txt", ".hidden/a.txt")];
    for (name, target) in links {
        symlink(target, around.join(name)).expect("can be made");
    }
    let program = serve(&site);
    let done = AtomicBool::new(false);
    let (mut inside, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for (name, _) in links {
                    let (one, other) = (around.join(name), site.join(name));
                    let exchange = rustix::fs::RenameFlags::EXCHANGE;
                    rustix::fs::renameat_with(rustix::fs::CWD, &one, rustix::fs::CWD, &other, exchange)
                        .expect("are there");
                }
            }
        });
        for path in ["/folder/a.txt", "/file.txt", "/hidden.txt"].iter().cycle().take(REQUESTS) {
            let mut client = program.get(path, "");
            match (client.status, client.content().as_str()) {
                (200, "inside") => inside += 1,
                (404, _) => refused += 1,
                (status, content) => {
                    done.store(true, Ordering::Relaxed);
                    panic!("{path}: {status} {content}");
                }
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    eprintln!("{inside} times inside, {refused} times refused");
    assert!(inside > REQUESTS / 50 && refused > REQUESTS / 50, "{inside} inside, {refused} refused");
}

#[test]
fn a_link_may_go_where_it_likes_as_long_as_it_ends_inside() {
    let around = folder("disk-links");
    let site = around.join("site");
    fs::create_dir_all(site.join("sub")).expect("can be made");
    fs::create_dir_all(site.join(".git")).expect("can be made");
    fs::write(site.join("a.html"), "inside").expect("can be written");
    fs::write(site.join(".git/config"), "SECRET").expect("can be written");
    symlink(&site, around.join("current")).expect("can be made");
    for (target, link, want) in [
        (PathBuf::from("../a.html"), "sub/up.html", 200),
        (PathBuf::from("../../site/a.html"), "sub/around.html", 200),
        (site.join("a.html"), "absolute.html", 200),
        (PathBuf::from("absolute.html"), "twice.html", 200),
        (PathBuf::from("sub"), "folder", 307),
        (PathBuf::from("/proc/self/cwd"), "magic", 404),
        (PathBuf::from(".git/config"), "config.txt", 404),
        (PathBuf::from(".git"), "git", 404),
    ] {
        symlink(target, site.join(link)).expect("can be made");
        // The folder of --page may be a link itself.
        for page in [&site, &around.join("current")] {
            assert_eq!(serve(page).get(&format!("/{link}"), "").status, want, "{link} in {}", page.display());
        }
    }
    let program = serve(&site);
    assert_eq!(program.get("/git/config", "").status, 404);
    assert_eq!(program.get("/sub/up.html", "").content(), "inside");
}

#[test]
fn a_file_may_be_of_any_date() {
    // A file system that can keep such dates.
    let site = Folder(PathBuf::from(format!("/dev/shm/sse-pipe-test-{}", std::process::id())));
    fs::create_dir(&site.0).expect("is free");
    let (epoch, day) = (SystemTime::UNIX_EPOCH, Duration::from_secs(24 * 3600));
    let program = serve(&site.0);
    for (n, date) in [epoch - day, epoch - 365 * 1000 * day, epoch + 365 * 10_000 * day, epoch + 3_650_000 * 1000 * day]
        .into_iter()
        .enumerate()
    {
        let path = site.0.join(format!("{n}.txt"));
        fs::write(&path, "dated").expect("can be written");
        let file = fs::File::options().write(true).open(&path).expect("is there");
        file.set_times(fs::FileTimes::new().set_modified(date).set_accessed(date)).expect("is ours");
        assert_eq!(path.metadata().and_then(|of| of.modified()).expect("is known"), date);
        let mut client = program.get(&format!("/{n}.txt"), "");
        assert_eq!((client.status, client.content().as_str()), (200, "dated"), "{date:?}");
    }
    assert_eq!(program.stream().status, 200);
}

#[test]
fn clients_that_do_not_read_their_file_hold_none_of_it() {
    const CLIENTS: usize = 1000;
    let _places = busy();
    raise_own_limit_on_files();
    let site = folder("disk-memory");
    fs::write(site.join("large.bin"), vec![b'x'; 16 << 20]).expect("can be written");
    let program = serve(&site);
    for path in ["/large.bin", "/viewer/vendor/countries.json"] {
        let before = memory(program.pid());
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let socket =
                    socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
                socket.set_recv_buffer_size(4 << 10).expect("is valid");
                socket.connect(&program.address().into()).expect("it listens");
                let mut socket = TcpStream::from(socket);
                socket.set_read_timeout(Some(DEADLINE)).expect("is valid");
                write!(socket, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it takes a request");
                socket
            })
            .collect();
        for mut client in &clients {
            client.read_exact(&mut [0; 1000]).expect("it is answered"); // its head, and some of the file
        }
        let grown = memory(program.pid()).saturating_sub(before);
        eprintln!("{path}: {grown} bytes for {CLIENTS} clients");
        assert!(grown < 10 << 20, "{path}: {grown} bytes for {CLIENTS} clients");
    }
}
