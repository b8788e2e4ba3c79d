//! The log: what was read, encoded once and kept once. Every client reads it with its own cursor.
//!
//! It is an append-only run of immutable batches, addressed by absolute byte offset. An entry is one record (one
//! chunk); entry `n` is record `n` of the run, so arithmetic turns an ID into a place. IDs from records have an index.
//!
//! With a store the log outlives the program ([`store`]), and may be far larger than memory.

pub mod batch;
pub mod id;
pub mod memory;
pub mod own_ids;
pub mod rows;
pub mod segment;
pub mod store;
mod view;

pub use batch::Batch;
pub use view::{Ids, Log, Missed, Range, StartingPoint};
