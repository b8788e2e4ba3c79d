//! `sse-pipe`: maps how the run ended to an exit status, and does nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    sse_pipe::main()
}
