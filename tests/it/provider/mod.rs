//! The provider simulator.

mod clouds;
mod every_rule;
mod models;
mod reply_fields;
mod routes;
mod rules;
mod scripted;
mod sdk;
mod signatures;
