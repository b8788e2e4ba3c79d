//! The chaos of real life, in rounds. A round is one run of the program: its settings, its input and what its clients
//! do all come from one seed. What each client receives is compared as a whole with what `docs/behaviour.md` and the
//! standards require; nothing here uses the program's own code.
//!
//! - [`settings`]: the options that the program is started with, and how its input ends.
//! - [`records`]: what the input is made of.
//! - [`script`]: the input as a whole, and what each of its records must become.
//! - [`framing`]: an answer, split: head, chunks, blocks of the event stream.
//! - [`oracle`]: whether a block is the one that must come next on this connection.
//! - [`habits`]: how a client asks and reads.
//! - [`client`]: a client that reads, dawdles, is cut off and reconnects.
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
