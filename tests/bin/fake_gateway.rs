//! A double of a gateway for tests. It listens on the port of its last `--port`, answers health checks as LiteLLM does, and
//! forwards all other requests to `ANTHROPIC_API_BASE` with `ANTHROPIC_API_KEY`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::ExitCode;

use compat_matrix::env;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let port = arguments
        .iter()
        .rposition(|argument| argument == "--port")
        .and_then(|position| arguments.get(position + 1)?.parse().ok());
    let Some(port) = port else {
        return ExitCode::from(2);
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is free");
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || {
            // The client may have closed the connection.
            let _ = answer(stream);
        });
    }
    ExitCode::SUCCESS
}

/// A request with this text ends the gateway, the first time.
const END_ONCE: &str = "end the gateway once";
/// A request with this text ends the gateway.
const END_ALWAYS: &str = "end the gateway always";

/// With this variable, a status and a body, it answers each request with them.
const ANSWER: &str = "FAKE_ANSWER";

/// Ends this process if `body` asks for that.
fn end_if_asked(body: &[u8]) {
    let text = String::from_utf8_lossy(body);
    let marker = std::env::temp_dir().join("has-ended");
    let ends = text.contains(END_ALWAYS) || (text.contains(END_ONCE) && !marker.exists());
    if ends {
        let _ = std::fs::write(marker, "");
        println!("ERROR: the gateway ends, as asked");
        std::process::exit(3);
    }
}

fn answer(stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut head: Vec<String> = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if line.trim_end().is_empty() {
            break;
        }
        head.push(line.trim_end().to_owned());
    }
    let is_post = head.first().is_some_and(|line| line.starts_with("POST"));
    match std::env::var(env::ANTHROPIC_API_BASE) {
        Ok(base) if is_post => pass_on(&head, &mut reader, stream, &base),
        _ => {
            let body = r#"{"status":"healthy","litellm_version":"1.83.0"}"#;
            reply(stream, "200 OK", body)
        }
    }
}

fn reply(mut stream: TcpStream, status: &str, body: &str) -> std::io::Result<()> {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

fn pass_on(
    head: &[String],
    reader: &mut impl Read,
    mut stream: TcpStream,
    base: &str,
) -> std::io::Result<()> {
    println!("{}", head[0]);
    let is = |line: &str, name: &str| line.to_ascii_lowercase().starts_with(&format!("{name}:"));
    let length = head.iter().find(|line| is(line, "content-length"));
    let length = length.and_then(|line| line.split(':').nth(1)?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    end_if_asked(&body);
    if let Ok(answer) = std::env::var(ANSWER) {
        let (status, body) = answer.split_once(' ').unwrap_or((&answer, ""));
        return reply(stream, status, body);
    }
    let mut upstream = TcpStream::connect(base.trim_start_matches("http://"))?;
    let replaced = ["authorization", "connection", "x-api-key"];
    let kept = head
        .iter()
        .filter(|line| !replaced.iter().any(|name| is(line, name)));
    let mut request = kept.cloned().collect::<Vec<_>>().join("\r\n");
    let key = std::env::var(env::ANTHROPIC_API_KEY).unwrap_or_default();
    request.push_str(&format!("\r\nx-api-key: {key}\r\nconnection: close\r\n\r\n"));
    upstream.write_all(request.as_bytes())?;
    upstream.write_all(&body)?;
    std::io::copy(&mut upstream, &mut stream).map(drop)
}
