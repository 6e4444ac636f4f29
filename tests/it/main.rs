//! The integration tests: one binary, a module a subject. Hermetic: no network but loopback, no account, no fixed port.

mod cause;
mod matrix;
mod results;
mod sample_run;
