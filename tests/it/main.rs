//! The hermetic tests: quick, on loopback, without any tool installed.

mod claude;
mod process;
mod transcript;
