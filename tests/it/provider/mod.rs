//! The provider simulator.

mod clouds;
mod models;
mod reply_fields;
mod routes;
mod rules;
mod scripted;
mod sdk;
mod signatures;
