//! `--tee`: standard input is copied to standard output, byte for byte, as it is read (behaviour 1.7).

use super::pipe;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// The copy of standard input. A thread writes it, so that the same bytes are encoded at the same time.
#[derive(Debug)]
pub struct Tee {
    blocks: SyncSender<Block>,
    results: Receiver<Result<(), Broken>>,
}

/// This many bytes at the start of a block.
type Block = (Arc<Vec<u8>>, usize);

/// Why the copy ends early.
#[derive(Debug)]
pub enum Broken {
    /// Its reader has gone.
    Pipe,
    /// It can't be written.
    Failed(io::Error),
}

impl Tee {
    /// Takes over standard output: when this is dropped, its reader sees the end.
    pub fn stdout() -> io::Result<Tee> {
        let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let nowhere = File::options().write(true).open("/dev/null")?;
        rustix::stdio::dup2_stdout(&nowhere)?;
        pipe::enlarge(&stdout);
        let (blocks, to_write) = sync_channel(1);
        let (to_results, results) = sync_channel(1);
        let mut copy = Copy(stdout);
        std::thread::Builder::new().name("tee".into()).spawn(move || {
            while let Ok((block, len)) = to_write.recv() {
                let block: Arc<Vec<u8>> = block;
                let result = copy.write(&block[..len]);
                drop(block); // the reader will fill it again
                if to_results.send(result).is_err() {
                    return;
                }
            }
        })?;
        Ok(Tee { blocks, results })
    }

    /// Begins to write the first `len` bytes of `block`.
    pub fn begin(&self, block: &Arc<Vec<u8>>, len: usize) {
        // It fails only if the thread is gone, as `finish` will report.
        let _ = self.blocks.send((Arc::clone(block), len));
    }

    /// Waits until what was begun is written, however long that takes; then the block can be filled again.
    pub fn finish(&self) -> Result<(), Broken> {
        self.results
            .recv()
            .unwrap_or_else(|_| Err(Broken::Failed(io::Error::other("its thread is gone; this is a bug"))))
    }
}

#[derive(Debug)]
struct Copy(File);

impl Copy {
    fn write(&mut self, mut bytes: &[u8]) -> Result<(), Broken> {
        while !bytes.is_empty() {
            match self.0.write(bytes) {
                Ok(0) => return Err(Broken::Failed(ErrorKind::WriteZero.into())),
                Ok(n) => bytes = &bytes[n..],
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    // Another program made it non-blocking: we wait for it anyway.
                    ErrorKind::WouldBlock => {
                        let _ = pipe::wait_writable(&self.0); // the write will report what is wrong
                    }
                    ErrorKind::BrokenPipe => return Err(Broken::Pipe),
                    _ => return Err(Broken::Failed(error)),
                },
            }
        }
        Ok(())
    }
}
