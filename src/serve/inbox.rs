//! One worker's inbox: messages from the server, and the bell beside it.

use super::files::Reply;
use super::socket::{Peer, Socket};
use crate::http::service::{Accepted, Phase};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Instant;

/// What a worker finds in its inbox.
#[derive(Debug)]
pub enum WorkerMessage {
    /// A client that has just connected, from where, and how it was accepted.
    Client(Socket, Peer, Accepted),
    /// What a client wanted of a file.
    File(Reply),
    /// No batch will come any more.
    End(Phase),
    /// The program ends: deliver what can be delivered until then.
    Stop(Instant),
    /// All is delivered: wait until it has been acknowledged.
    Part,
}

/// The way into one worker's inbox.
#[derive(Clone, Debug)]
pub struct Inbox {
    /// Puts messages in.
    pub(super) messages: Sender<WorkerMessage>,
    /// Wakes the worker, which otherwise sleeps until a socket or a timer does.
    pub(super) waker: Arc<mio::Waker>,
}

impl Inbox {
    /// Puts a message in without waking the worker.
    pub fn put(&self, message: WorkerMessage) {
        // A worker that is gone has ended the program already (see `server`).
        let _ = self.messages.send(message);
    }

    /// Wakes the worker.
    pub fn wake(&self) {
        // It fails only if the kernel is out of memory for a few bytes.
        let _ = self.waker.wake();
    }
}
