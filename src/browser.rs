//! `--open`: the page in the person's browser.
//!
//! What opens an address is found by the `open` crate; it is run beside us, in a process group of its own (Ctrl-C is for
//! the pipe, not for a browser that it started), without our standard streams, and waited for, so that it leaves no
//! zombie. Nothing here is ever waited for by the program itself.

use crate::report::Report;
use crate::sanitize::sanitize;
use std::process::{Command, Stdio};
use std::sync::Arc;

/// Opens `url`; where that fails, the terminal is told, and all else goes on.
pub fn open(url: &str, report: &Arc<Report>) {
    let teller = Arc::clone(report);
    // "Every address" is one to listen on, not one to go to.
    let url = url.replace("://0.0.0.0:", "://localhost:").replace("://[::]:", "://localhost:");
    let thread = move || {
        if let Err(why) = open_url(&url) {
            teller.error(format_args!("--open: {why}; please open the address yourself"));
        }
    };
    if let Err(error) = std::thread::Builder::new().name("open".into()).spawn(thread) {
        report.error(format_args!("--open: {error}; please open the address yourself"));
    }
}

/// The first command that succeeds; why the last one did not.
fn open_url(url: &str) -> Result<(), String> {
    let mut why = "nothing is known that opens an address here".to_owned();
    for mut command in open::commands(url) {
        let name = sanitize(&command.get_program().to_string_lossy());
        match beside_us(&mut command).status() {
            Ok(status) if status.success() => return Ok(()),
            Ok(status) => why = format!("{name}: {status}"),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => why = format!("{name}: {error}"),
        }
    }
    Err(why)
}

fn beside_us(command: &mut Command) -> &mut Command {
    use std::os::unix::process::CommandExt;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0)
}
