//! A stand-in for a gateway that has just been installed, for tests of the publisher: it answers the two questions that
//! LiteLLM answers without a model, on the port that its last `--port` names, and forwards nothing.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::ExitCode;

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
        // A client that went away needs no answer.
        let _ = answer(stream);
    }
    ExitCode::SUCCESS
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    for line in BufReader::new(stream.try_clone()?).lines() {
        if line?.is_empty() {
            break;
        }
    }
    let body = r#"{"status":"healthy","litellm_version":"1.83.0"}"#;
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}
