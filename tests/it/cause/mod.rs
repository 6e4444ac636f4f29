//! The causes of failures.

mod messages;
mod trials;
