//! What the tests share. Nothing here guesses a port or sleeps for time; every failure is reported at the caller's
//! line.

pub mod browser;
pub mod chaos;
pub mod client;
pub mod example;
pub mod files;
pub mod linux;
pub mod load;
pub mod map;
pub mod places;
pub mod process;
pub mod program;
pub mod random;
pub mod servers;
