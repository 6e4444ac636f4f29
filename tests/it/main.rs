//! Integration tests, hermetic: loopback and temporary folders only.

mod loopback;
mod toolchain;
mod versions;
