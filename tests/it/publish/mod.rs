//! `compat publish`, with doubles of GitHub, the package registry and `docker`.

mod faults;
mod gate;
mod run;
mod secrets;
