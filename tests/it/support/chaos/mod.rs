//! The chaos of real life, in rounds. A round is one run of the program: its settings, its input and what its clients do
//! all come from one seed. What comes to each client is compared whole with what must come, as `docs/behaviour.md` and
//! the standards have it; nothing here asks the program's own code.
//!
//! - [`settings`]: with which options the program is started, and how its input ends.
//! - [`records`]: what the input is made of.
//! - [`script`]: the input as a whole, and what each of its records must become.
//! - [`framing`]: an answer taken apart: head, chunks, blocks of the event stream.
//! - [`oracle`]: whether a block is the one that must come next on this connection.
//! - [`habits`]: how somebody asks and reads.
//! - [`client`]: somebody who reads, dawdles, is cut off and comes back.
//! - [`round`]: all of them together.
//! - [`judge`]: whether the program's end agrees with what happened.
//! - [`tally`]: what happened.

pub mod client;
pub mod framing;
pub mod habits;
pub mod judge;
pub mod oracle;
pub mod records;
pub mod round;
pub mod script;
pub mod settings;
pub mod tally;
