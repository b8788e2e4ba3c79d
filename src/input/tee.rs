//! `--tee`: standard input goes on to standard output, byte for byte, as it is read (contract 1.7).

use rustix::event::{PollFd, PollFlags, poll};
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;

/// The copy of standard input.
#[derive(Debug)]
pub struct Tee(File);

/// Why the copy ends early.
#[derive(Debug)]
pub enum Broken {
    /// Whoever read it has gone.
    Pipe,
    /// It can't be written.
    Failed(io::Error),
}

impl Tee {
    /// Takes standard output over, whole: when this is dropped, whoever reads it sees the end.
    pub fn stdout() -> io::Result<Tee> {
        let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let nowhere = File::options().write(true).open("/dev/null")?;
        rustix::stdio::dup2_stdout(&nowhere)?;
        super::reader::enlarge_pipe(&stdout);
        Ok(Tee(stdout))
    }

    /// Writes all of it, however long that takes.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), Broken> {
        while !bytes.is_empty() {
            match self.0.write(bytes) {
                Ok(0) => return Err(Broken::Failed(ErrorKind::WriteZero.into())),
                Ok(n) => bytes = &bytes[n..],
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    // Somebody else made it non-blocking: it is waited for all the same.
                    ErrorKind::WouldBlock => {
                        let _ = poll(&mut [PollFd::new(&self.0, PollFlags::OUT)], None);
                    }
                    ErrorKind::BrokenPipe => return Err(Broken::Pipe),
                    _ => return Err(Broken::Failed(error)),
                },
            }
        }
        Ok(())
    }
}
