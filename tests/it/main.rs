//! The quick tests: hermetic, on loopback alone.

mod sample_run;
mod results;
mod matrix;
