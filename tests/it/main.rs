//! Integration tests, one binary.

mod cause;
