//! The hermetic tests: quick, on loopback, without any tool installed.

mod claude;
mod claude_real;
mod process;
mod transcript;
