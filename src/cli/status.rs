//! `compat status`: the age of the published matrix.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use clap::Args;
use reqwest::{Method, Request, Url};

use super::files;
use super::print::{TextOrJson, output_json, output_wrapped};
use crate::http::{Client, RetryPolicy, parse_url};
use crate::matrix::Matrix;
use crate::publish::freshness::Freshness;
use crate::results::json::timestamp;
use crate::versions::age::Age;

/// Print the age of the published matrix
///
/// For monitors. The exit status is 0 for a fresh matrix, 3 for an old one, and 1 if it cannot be read. A monitor should treat
/// 1 like 3.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  compat status https://example.org/data/compatibility-matrix.json
  compat status --max-age 3d --format json ../docs/static/data/compatibility-matrix.json")]
pub struct Arguments {
    /// The published matrix: its address, or a file (`-` for standard input)
    #[arg(value_name = "ADDRESS|FILE")]
    matrix: String,
    /// The age at which the matrix counts as old
    #[arg(long, value_name = "AGE", default_value = "8d")]
    max_age: Age,
    /// How to print it
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    format: TextOrJson,
    /// Use this time instead of now: `2026-11-21T09:00:00Z`
    #[arg(long, value_name = "TIME", value_parser = timestamp::from_text)]
    at: Option<DateTime<Utc>>,
}

/// The exit status of a matrix that is too old.
const STALE: u8 = 3;

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let matrix = match parse_url(&arguments.matrix) {
        Some(url) => {
            let text = tokio::runtime::Runtime::new()?.block_on(fetch(&url))?;
            Matrix::parse(&text).with_context(|| format!("`{}`", arguments.matrix))?
        }
        None => files::read(&PathBuf::from(&arguments.matrix), Matrix::parse)?,
    };
    let now = arguments.at.unwrap_or_else(Utc::now);
    let freshness = Freshness::of(&matrix, arguments.max_age, now);
    match arguments.format {
        TextOrJson::Text => output_wrapped(&freshness.to_line()),
        TextOrJson::Json => output_json(&freshness)?,
    }
    Ok(match freshness.fresh {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(STALE),
    })
}

async fn fetch(url: &Url) -> anyhow::Result<String> {
    let client = Client::new(RetryPolicy::default(), None)?;
    let response = client.send(&Request::new(Method::GET, url.clone())).await?;
    String::from_utf8(response.body.to_vec()).with_context(|| format!("`{url}` is not UTF-8"))
}
