//! What pipes need beyond reading and writing: a larger size, and waiting if another program made them non-blocking.

use rustix::event::{PollFd, PollFlags, poll};
use std::fs::File;
use std::io;

/// One read takes at most this many bytes, and pipes are enlarged to hold as many: 1.5 times as fast as with the
/// default of 64 KiB.
pub const BLOCK: usize = 1 << 20;

/// Asks the kernel for a larger pipe; harmless if it is not a pipe, or if the kernel refuses.
pub fn enlarge(pipe: &File) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, BLOCK);
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = pipe;
}

/// Blocks until there is something to read. A shared standard input may have been set to non-blocking by another
/// program.
pub fn wait_readable(input: &File) -> io::Result<()> {
    wait(input, PollFlags::IN)
}

/// Blocks until there is room to write.
pub fn wait_writable(output: &File) -> io::Result<()> {
    wait(output, PollFlags::OUT)
}

fn wait(file: &File, what: PollFlags) -> io::Result<()> {
    match poll(&mut [PollFd::new(file, what)], None) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
