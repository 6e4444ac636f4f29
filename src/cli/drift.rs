//! `compat drift`: compares recorded traffic with the provider simulator.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use clap::{Args, ValueEnum};
use tokio::runtime::Runtime;

use super::files::Output;
use super::print::status;
use super::project::RootFlag;
use crate::drift::report::DriftReport;
use crate::drift::{self, Cassette, RecordedSide};
use crate::files::cassette_files;
use crate::files::project::tier_models;
use crate::provider::{Simulator, SimulatorOptions};
use crate::results::json;
use crate::wire::exchange::RecordedRequest;

/// Compare recorded traffic with the provider simulator
///
/// A run with `--record FOLDER` writes a cassette. This sends each recorded request to a simulator again, and compares the shape of
/// both replies: status, headers, events, their order, fields, errors, and whether the request is accepted. Words and numbers do
/// not count. Each fault is named once, with the recordings that it concerns.
///
/// The exit status is 0 without drift, 3 with drift, and 2 if the folder is no valid cassette or nothing could be compared.
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:
  compat run --record recorded --matrix v0 --tier haiku
  compat drift recorded
  compat drift recorded --format markdown >> \"$GITHUB_STEP_SUMMARY\"
  compat drift live --except simulated        what the gateway itself changes is in both")]
pub struct Arguments {
    /// The folder of the cassette
    #[arg(value_name = "FOLDER")]
    cassette: PathBuf,
    /// Leave out the faults that this cassette has too, such as that of a simulated run through the same gateway
    #[arg(long, value_name = "FOLDER")]
    except: Option<PathBuf>,
    /// The side of the gateway to compare [default: the provider's, if the cassette has it]
    #[arg(long, value_enum)]
    side: Option<GatewaySide>,
    /// The format
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    format: ReportFormat,
    /// The file to write; `-` for standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    output: Output,
    #[command(flatten)]
    root: RootFlag,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ReportFormat {
    Text,
    Markdown,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum GatewaySide {
    Client,
    Provider,
}

/// The exit status if the simulator differs.
const DRIFT: u8 = 3;
/// The exit status for a folder that is no valid cassette.
const INVALID: u8 = 2;

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let (cassette, side, except) = match arguments.read() {
        Ok(read) => read,
        Err(error) => {
            status!("error: {error:#}");
            return Ok(ExitCode::from(INVALID));
        }
    };
    let tiers = arguments.root.find().map(|root| tier_models(&root));
    let runtime = Runtime::new().context("cannot start the asynchronous runtime")?;
    let report = runtime.block_on(report(cassette, side, except, tiers.unwrap_or_default()))?;
    let text = match arguments.format {
        ReportFormat::Text => report.text(),
        ReportFormat::Markdown => report.markdown(),
        ReportFormat::Json => json::write(&report),
    };
    arguments.output.write(&text)?;
    if report.compared == 0 {
        status!(
            "error: nothing could be compared: `{}` has no reply on the {}'s side that a simulator can be asked about",
            arguments.cassette.display(),
            side.as_str()
        );
        return Ok(ExitCode::from(INVALID));
    }
    Ok(match report.has_drift() {
        true => ExitCode::from(DRIFT),
        false => ExitCode::SUCCESS,
    })
}

impl Arguments {
    /// The cassettes, and the side to compare.
    fn read(&self) -> Result<(Cassette, RecordedSide, Option<Cassette>)> {
        let cassette = cassette_files::read(&self.cassette)?;
        let side = match self.side {
            Some(GatewaySide::Client) => RecordedSide::Client,
            Some(GatewaySide::Provider) => RecordedSide::Provider,
            None => cassette.best_side(),
        };
        let except = self.except.as_deref().map(cassette_files::read).transpose()?;
        let folders = [
            Some((&self.cassette, &cassette)),
            self.except.as_ref().zip(except.as_ref()),
        ];
        for (folder, read) in folders.into_iter().flatten() {
            ensure!(
                read.head.sides.contains(&side),
                "`{}` has no recordings of the {}'s side: name another cassette, or another `--side`",
                folder.display(),
                side.as_str()
            );
        }
        Ok((cassette, side, except))
    }
}

async fn report(
    cassette: Cassette,
    side: RecordedSide,
    except: Option<Cassette>,
    tiers: Vec<String>,
) -> Result<DriftReport> {
    let simulator = Simulator::start(SimulatorOptions {
        tiers,
        ..SimulatorOptions::default()
    })
    .await?;
    let ask =
        async |request: &RecordedRequest, route, reply| simulator.ask_again(request, route, reply).await;
    let own = drift::examine(&cassette, side, ask).await;
    let except = match except {
        Some(except) => {
            let faults = drift::examine(&except, side, ask).await;
            Some((except.head, faults))
        }
        None => None,
    };
    simulator.shutdown().await;
    let except = except.as_ref().map(|(head, faults)| (head, faults));
    Ok(own.report(cassette.head, except))
}
