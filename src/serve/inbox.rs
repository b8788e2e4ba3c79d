//! One worker's inbox: messages from the server, and the waker that announces them.

use super::files::Reply;
use super::socket::{Peer, Socket};
use crate::http::service::{Accepted, Phase};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Instant;

/// A message to a worker.
#[derive(Debug)]
pub enum WorkerMessage {
    /// A client that has just connected, its address, and how it was accepted.
    Client(Socket, Peer, Accepted),
    /// What was found or read for a client.
    File(Reply),
    /// No more batches will come.
    End(Phase),
    /// The program ends: deliver what can be delivered until then.
    Stop(Instant),
    /// All is delivered: wait until it has been acknowledged.
    Part,
}

/// The sender's end of one worker's inbox.
#[derive(Clone, Debug)]
pub struct Inbox {
    /// Sends messages.
    pub(super) messages: Sender<WorkerMessage>,
    /// Wakes the worker, which otherwise sleeps until a socket or a timer does.
    pub(super) waker: Arc<mio::Waker>,
}

impl Inbox {
    /// Sends a message without waking the worker.
    pub fn put(&self, message: WorkerMessage) {
        // If the worker is gone, the program is already ending (see `server`).
        let _ = self.messages.send(message);
    }

    /// Wakes the worker.
    pub fn wake(&self) {
        // It fails only if the kernel has not even a few bytes of memory left.
        let _ = self.waker.wake();
    }
}
