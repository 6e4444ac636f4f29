//! Integration tests: hermetic, on loopback.

mod provider_client;
mod provider_routes;
mod provider_rules;
