//! The proxy of a download.

use std::time::Duration;

use anyhow::bail;
use reqwest::Url;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::env::Environment;

const DEADLINE: Duration = Duration::from_secs(5);

/// Fails if the proxy for downloads accepts no connection, because clients of registries say so late and in many lines.
/// With exceptions (`NO_PROXY`) it never fails: the registry may be one of them.
pub(super) async fn ensure_answers(environment: &Environment) -> anyhow::Result<()> {
    let Some((name, address)) = environment.proxy() else {
        return Ok(());
    };
    let with_scheme = match address.contains("://") {
        true => address.to_owned(),
        false => format!("http://{address}"),
    };
    let Some((host, port)) = host_and_port(&with_scheme) else {
        bail!("`{name}` is no address of a proxy: write `{name}=http://HOST:PORT`");
    };
    let failure = match timeout(DEADLINE, TcpStream::connect((host.as_str(), port))).await {
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no connection within {} s", DEADLINE.as_secs()),
    };
    bail!(
        "the proxy `{host}:{port}` of `{name}` does not answer: {failure}; start it, or correct or unset `{name}`"
    )
}

fn host_and_port(address: &str) -> Option<(String, u16)> {
    let url = Url::parse(address).ok()?;
    // The port of a SOCKS proxy without one.
    let port = url.port_or_known_default().unwrap_or(1080);
    let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
    Some((host, port))
}
