//! Servers of others that a test starts: the proxies, each as docs/proxies.md sets it up, and Redis. Each has its own
//! configuration in its own folder and a free port, runs as the user of the test, and ends with the test.

use super::client::DEADLINE;
use super::files::{Folder, fenced};
use super::process::Process;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The document that has the configurations.
const PROXIES: &str = include_str!("../../../docs/proxies.md");
/// How long a server may run.
const TIME: Duration = Duration::from_secs(150);
/// Another program may take a free port before the server does.
const TRIES: usize = 5;

/// The name of the documented proxies.
pub const NAME: &str = "events.example";
/// The path at which the documented proxies have the stream.
pub const PATH: &str = "/live";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxy {
    Nginx,
    Haproxy,
    Caddy,
    Apache,
}

impl Proxy {
    /// The documented configuration, for a server at these ports: `path` instead of its own, which may be empty.
    #[track_caller]
    pub fn documented(self, port: u16, upstream: u16, path: &str) -> String {
        let (language, old, new) = match self {
            Proxy::Nginx => ("nginx", "listen 80;", format!("listen 127.0.0.1:{port};")),
            Proxy::Haproxy => ("haproxy", "bind :80", format!("bind 127.0.0.1:{port}")),
            // A name alone would make it ask for a certificate.
            Proxy::Caddy => ("caddyfile", "events.example {", format!("http://events.example:{port} {{")),
            Proxy::Apache => ("apache", "", format!("Listen 127.0.0.1:{port}\n")),
        };
        let block = fenced(PROXIES, language);
        assert!(block.contains(old) && block.contains("localhost:6502") && block.contains(PATH), "{block}");
        let block = block.replacen(old, &new, 1);
        block.replace("localhost:6502", &format!("localhost:{upstream}")).replace(PATH, path)
    }

    /// Starts it as documented, in front of the server at `upstream`.
    #[track_caller]
    pub fn start(self, upstream: u16, path: &str) -> Server {
        self.start_as(|port| self.documented(port, upstream, path))
    }

    /// Starts it with a configuration for its port, to which is added here what it needs to run beside others.
    pub fn start_as(self, configuration: impl Fn(u16) -> String) -> Server {
        Server::start(
            |port, folder| {
                let configuration = configuration(port);
                let at = folder.display();
                let root = rustix::process::geteuid().is_root();
                let (mut command, text) = match self {
                    Proxy::Nginx => {
                        let user = if root { "user root;\n" } else { "" };
                        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
                        let temporary = temporary.map(|name| format!("{name}_temp_path {at}/{name};\n")).concat();
                        let text = format!(
                            "{user}daemon off;\nworker_processes 1;\npid {at}/pid;\nerror_log stderr notice;\n\
                         events {{}}\nhttp {{\naccess_log off;\n{temporary}{configuration}}}\n"
                        );
                        (server(&["nginx", "-e", "stderr", "-c"]), text)
                    }
                    Proxy::Haproxy => (server(&["haproxy", "-W", "-db", "-f"]), configuration),
                    Proxy::Caddy => {
                        let mut command = server(&["caddy", "run", "--adapter", "caddyfile", "--config"]);
                        command.env("HOME", folder).env("XDG_DATA_HOME", folder).env("XDG_CONFIG_HOME", folder);
                        (command, format!("{{\nadmin off\n}}\n{configuration}"))
                    }
                    Proxy::Apache => {
                        let user = if root { "User nobody\nGroup nogroup\n" } else { "" };
                        let modules = ["mpm_event", "authz_core", "proxy", "proxy_http"];
                        let load =
                            |name: &str| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n");
                        let text = format!(
                            "{}{user}ServerName {NAME}\nPidFile {at}/pid\nDefaultRuntimeDir {at}\nMutex file:{at}\n\
                         ErrorLog /dev/stderr\nLogLevel notice\n{configuration}",
                            modules.map(load).concat()
                        );
                        (server(&["apache2", "-DFOREGROUND", "-f"]), text)
                    }
                };
                let file = folder.join("configuration");
                std::fs::write(&file, text).expect("the folder is ours");
                command.arg(file);
                command
            },
            self.ready(),
        )
    }

    /// What its standard error has once it listens.
    fn ready(self) -> &'static str {
        match self {
            Proxy::Nginx => "start worker process ",
            Proxy::Haproxy => "Loading success",
            Proxy::Caddy => "serving initial configuration",
            Proxy::Apache => "resuming normal operations",
        }
    }
}

/// A program with its first arguments, also from where Debian keeps servers.
fn server(words: &[&str]) -> Command {
    let sbin = Path::new("/usr/sbin").join(words[0]);
    let mut command = if sbin.exists() { Command::new(sbin) } else { Command::new(words[0]) };
    command.args(&words[1..]);
    command
}

/// A running server. It is ended when dropped, and its folder goes with it.
pub struct Server {
    port: u16,
    _process: Process,
    _folder: Folder, // goes after the process has
}

impl Server {
    /// Starts what `command` makes of a free port and an empty folder; it listens once it has said `ready`.
    #[track_caller]
    pub fn start(command: impl Fn(u16, &Path) -> Command, ready: &str) -> Server {
        let mut told = Vec::new();
        for _ in 0..TRIES {
            let folder = Folder::new();
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a port");
            let port = listener.local_addr().expect("is bound").port();
            drop(listener);
            let mut process = Process::start(command(port, &folder.0), TIME);
            if process.says(|line| line.contains(ready)).is_some() {
                return Server { port, _process: process, _folder: folder };
            }
            told.push(process.told().join("\n"));
        }
        panic!("it never said {ready:?}, but: {told:#?}");
    }

    #[track_caller]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// A connection to it.
    pub fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(self.address()).expect("it listens");
        socket.set_read_timeout(Some(DEADLINE)).expect("is valid");
        socket
    }
}

/// A Redis server with nothing in it, and a connection to it.
pub struct Redis {
    server: Server,
    connection: BufReader<TcpStream>,
}

impl Redis {
    #[track_caller]
    pub fn start() -> Redis {
        let configuration = |port: u16, folder: &Path| {
            let mut command =
                server(&["redis-server", "--bind", "127.0.0.1", "--save", "", "--logfile", "/dev/stderr"]);
            command.args(["--port", &port.to_string(), "--dir"]).arg(folder);
            command
        };
        let server = Server::start(configuration, "Ready to accept connections");
        let connection = BufReader::new(server.connect());
        Redis { server, connection }
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.server.address())
    }

    /// Adds an entry to a stream (both without blanks), and returns its ID.
    #[track_caller]
    pub fn add(&mut self, stream: &str, field: &str, value: &str) -> String {
        // An inline command, and the answer as a bulk string (Redis serialization protocol).
        let command = format!("XADD {stream} * {field} {value}\r\n");
        self.connection.get_mut().write_all(command.as_bytes()).expect("it takes a command");
        let (mut length, mut id) = (String::new(), String::new());
        self.connection.read_line(&mut length).expect("it answers");
        assert!(length.starts_with('$'), "{command:?}: {length:?}");
        self.connection.read_line(&mut id).expect("it answers");
        id.trim_end().to_owned()
    }
}
