//! What pipes need beyond reading and writing: room, and patience where somebody else made them non-blocking.

use rustix::event::{PollFd, PollFlags, poll};
use std::fs::File;
use std::io;

/// One read takes at most this many bytes, and a pipe is asked to hold as many: ×1.5 over the default of 64 KiB.
pub const BLOCK: usize = 1 << 20;

/// Asks the kernel for a larger pipe; harmless where it is none, or where that is refused.
pub fn enlarge(pipe: &File) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, BLOCK);
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = pipe;
}

/// Blocks until there is something to read. A shared standard input may have been set to non-blocking by another program.
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
