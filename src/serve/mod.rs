//! Serving: what has sockets and threads.
//!
//! `server` is the main thread: it accepts connections, and handles signals and the end of the input. Each `worker`
//! moves bytes from the log to its `client`s. They meet in `shared` and `inbox`. `listen` and `socket` are the sockets,
//! `files` the thread that reads the user's own page. `cursors` and `drain` are values, without a socket, a clock or a
//! thread; `reports` is what the terminal says about clients.

pub mod client;
pub mod cursors;
pub mod date;
pub mod drain;
pub mod files;
pub mod inbox;
pub mod listen;
pub mod reports;
pub mod server;
pub mod shared;
pub mod socket;
pub mod worker;
