//! Showing recorded trials: the timeline, the messages, `curl` commands, scripts that reproduce a fault.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use compat_matrix::evidence::{Evidence, UnderTest};
use compat_matrix::files::evidence_files;
use compat_matrix::wire::Route;
use compat_matrix::wire::exchange::{Body, Lockstep, SentEvent};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::evidence::{self, Builder as _, gateway_file};
use crate::support::loopback::unused_port;
use crate::support::ran::{Ran, compat, printed};
use crate::support::small_project::{Small, simulator};
use crate::support::text::{assert_has, assert_lacks, assert_starts};

/// A run whose gateway drops `top_k`. The request contains a secret.
fn lossy() -> Evidence {
    let mut sent = evidence::request("my key is sk-abcdefghijklmnop");
    sent["top_k"] = json!(5);
    let mut arrived = sent.clone();
    arrived.as_object_mut().expect("a map").remove("top_k");
    let answer = json!({ "type": "message", "role": "assistant", "content": [{ "type": "text", "text": "pong" }],
        "stop_reason": "end_turn", "usage": { "input_tokens": 10, "output_tokens": 2 } });
    let mut exchange = evidence::exchange(arrived, answer.clone());
    exchange.number = 1;
    exchange.turn = Some(1);
    exchange.request.at_ms = 5;
    exchange.reply.events = vec![SentEvent {
        at_ms: 6,
        data: answer,
    }];
    let mut passage = evidence::gateway_exchange(&exchange, "application/json");
    passage.request.body = Body::Json(sent);
    let headers = &mut passage.request.headers;
    headers.push(("authorization".into(), "[redacted, 9 bytes]".into()));
    let mut evidence = evidence::nothing()
        .answered(evidence::text_message("pong"))
        .ended("pong")
        .reached(exchange);
    evidence.sent = vec![passage];
    evidence
}

fn folder_of(evidence: &Evidence) -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    evidence_files::write(evidence, None, folder.path()).expect("evidence");
    folder
}

#[test]
fn evidence_survives_writing_and_reading() {
    let evidence = lossy();
    let folder = folder_of(&evidence);
    assert_eq!(evidence_files::read(folder.path()).expect("evidence"), evidence);
}

#[test]
fn a_timeline_follows_a_request_to_the_provider_and_back() {
    let folder = folder_of(&lossy());
    let text = printed(&folder, &["show", "."]);
    let mut rest = text.as_str();
    for words in [
        "claude   → gateway   POST /v1/messages",
        "[sent.jsonl:1]",
        "model claude-haiku-4-5, 1 message",
        "gateway  → provider  POST /v1/messages",
        "provider → gateway   HTTP 200",
        "text \"pong\"",
        "gateway  → claude    HTTP 200",
        "request 1: field `top_k` dropped: 5",
    ] {
        let at = rest
            .find(words)
            .unwrap_or_else(|| panic!("no `{words}` in its place in\n{text}"));
        rest = &rest[at + words.len()..];
    }
    let steps: Value = serde_json::from_str(&printed(&folder, &["show", ".", "--json"])).expect("JSON");
    assert_eq!(steps["steps"][0]["who"], "to_gateway", "{steps:#}");
}

#[test]
fn a_curl_command_has_no_secret() {
    let folder = folder_of(&lossy());
    for arguments in [
        &["show", ".", "--curl"][..],
        &["show", ".", "--curl=provider", "--turn", "1"],
    ] {
        let text = printed(&folder, arguments);
        assert_lacks(&text, "sk-abc");
        assert_lacks(&text, "[redacted, 9");
        assert_has(&text, "curl -sS -N -i -X POST \"${");
        assert_has(&text, "}\"/v1/messages");
    }
    let raw = printed(&folder, &["show", ".", "--raw"]);
    assert_has(
        &raw,
        "=== gateway → provider  exchanges.jsonl:1\nPOST /v1/messages HTTP/1.1",
    );
    let none = compat(&folder, &["show", ".", "--curl", "--turn", "7"]);
    none.err_has("there is no request 7: 1 were recorded");
}

#[test]
fn missing_evidence_is_an_error() {
    let folder = TempDir::new().expect("a temporary folder");
    for (arguments, words) in [
        (["show", "a::b"], "neither a folder nor a trial"),
        (["show", "a::b::c"], "no `manifest.yaml`"),
        (["show", "."], "holds no evidence"),
        (["repro", "."], "holds no evidence"),
    ] {
        let output = compat(&folder, &arguments);
        output.exits(1);
        output.err_has(words);
    }
}

/// A gateway that forwards one request to `provider`, without the field `dropped`.
fn gateway(provider: u16, dropped: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("a client");
        let (head, body) = read_message(&mut client);
        let mut body: Value = serde_json::from_slice(&body).expect("JSON");
        body.as_object_mut().expect("a map").remove(dropped);
        let path = head.split(' ').nth(1).expect("a path").to_owned();
        let body = body.to_string();
        let mut server = TcpStream::connect(("127.0.0.1", provider)).expect("the provider");
        write!(
            server,
            "POST {path} HTTP/1.1\r\nhost: x\r\nanthropic-version: 2023-06-01\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("a request");
        let (_, reply) = read_message(&mut server);
        write!(
            client,
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            reply.len()
        )
        .expect("a head");
        client.write_all(&reply).expect("a body");
    });
    port
}

fn read_message(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).expect("a line") > 0, "{head}");
    }
    let length = head
        .lines()
        .find_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("content-length: ")?
                .parse()
                .ok()
        })
        .expect("a length");
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    (head, body)
}

fn run_script(script: &Path, gateway: u16, port: u16) -> (Option<i32>, String) {
    let gateway = format!("http://127.0.0.1:{gateway}");
    let mut command = Command::new("python3");
    command
        .arg(script)
        .args(["--gateway", &gateway, "--port", &port.to_string()]);
    let ran = Ran::new(command.output().expect("python3"));
    (ran.status, ran.out + &ran.err)
}

#[test]
fn a_script_reproduces_the_fault_only_with_a_faulty_gateway() {
    let folder = folder_of(&lossy());
    let script = folder.path().join("repro.py");
    printed(&folder, &["repro", ".", "--output", "repro.py"]);
    let text = std::fs::read_to_string(&script).expect("a script");
    assert_lacks(&text, "sk-abc");

    let port = unused_port();
    let (code, output) = run_script(&script, gateway(port, "top_k"), port);
    assert_eq!(code, Some(1), "{output}");
    assert_has(&output, "request 1: field `top_k` dropped: 5");
    assert_has(&output, "The fault shows.");

    let port = unused_port();
    let (code, output) = run_script(&script, gateway(port, ""), port);
    assert_eq!(code, Some(0), "{output}");
    assert_has(&output, "now:           5");

    // Nothing listens there.
    let (code, output) = run_script(&script, unused_port(), unused_port());
    assert_eq!(code, Some(2), "{output}");
}

/// The same run with a streamed reply that the gateway held back.
fn buffered() -> Evidence {
    let mut evidence = lossy();
    let exchange = &mut evidence.exchanges[0];
    let passage = &mut evidence.sent[0];
    exchange.request.body = passage.request.body.clone();
    let message = json!({ "type": "message", "content": [], "usage": { "input_tokens": 10 } });
    let events = evidence::text_events(message, &["po", "n", "g"], 2);
    let at = |first: u64| {
        let events = events.iter().zip(first..);
        events
            .map(|(data, at_ms)| SentEvent {
                at_ms,
                data: data.clone(),
            })
            .collect()
    };
    exchange.reply.stream = true;
    exchange.reply.lockstep = Some(Lockstep { deltas: 3, seen: 0 });
    exchange.reply.events = at(6);
    let reply = passage.reply.as_mut().expect("a reply");
    reply.stream = true;
    reply.events = at(20);
    evidence
}

/// A gateway that forwards one request and its reply unchanged. It can hold the reply back until it is complete, and repeat
/// a refused request.
fn passing_gateway(provider: u16, buffers: bool, repeats: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("a client");
        let (_, body) = read_message(&mut client);
        loop {
            let mut server = TcpStream::connect(("127.0.0.1", provider)).expect("the provider");
            write!(
                server,
                "POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
                body.len()
            )
            .expect("a head");
            server.write_all(&body).expect("a body");
            let mut first = [0; 12];
            server.read_exact(&mut first).expect("a status");
            if repeats && first.ends_with(b"400") {
                continue;
            }
            client.write_all(&first).expect("a client that reads");
            if buffers {
                let mut rest = Vec::new();
                server.read_to_end(&mut rest).expect("a reply");
                client.write_all(&rest).expect("a client that reads");
            } else {
                std::io::copy(&mut server, &mut client).expect("a client that reads");
            }
            return;
        }
    });
    port
}

#[test]
fn a_script_detects_a_gateway_that_buffers() {
    let folder = folder_of(&buffered());
    printed(&folder, &["repro", ".", "--all", "--output", "repro.py"]);
    let script = folder.path().join("repro.py");
    for (buffers, expected) in [(true, 1), (false, 0)] {
        let port = unused_port();
        let (code, output) = run_script(&script, passing_gateway(port, buffers, false), port);
        assert_eq!(code, Some(expected), "{output}");
        assert_has(&output, "content deltas held back");
    }
}

#[test]
fn a_script_detects_a_gateway_that_repeats_a_request() {
    let mut evidence = lossy();
    let mut refused = evidence.exchanges[0].clone();
    refused.reply.status = 400;
    refused.reply.message = None;
    refused.reply.events[0].data =
        json!({ "type": "error", "error": { "type": "invalid_request_error", "message": "no" } });
    refused.request.body = evidence.sent[0].request.body.clone();
    evidence.exchanges[0].number = 2;
    evidence.exchanges[0].request.at_ms = 6;
    evidence.exchanges[0].request.body = refused.request.body.clone();
    evidence.exchanges.insert(0, refused);
    let folder = folder_of(&evidence);
    printed(&folder, &["repro", ".", "--all", "--output", "repro.py"]);
    let script = folder.path().join("repro.py");
    for (repeats, expected) in [(true, 1), (false, 0)] {
        let port = unused_port();
        let (code, output) = run_script(&script, passing_gateway(port, false, repeats), port);
        assert_eq!(code, Some(expected), "{output}");
        assert_has(&output, "2 when recorded");
    }
}

#[test]
fn a_script_detects_a_gateway_that_drops_a_reply_header() {
    let mut evidence = lossy();
    evidence.exchanges[0].request.body = evidence.sent[0].request.body.clone();
    evidence.exchanges[0].reply.headers = vec![("retry-after".into(), "7".into())];
    let folder = folder_of(&evidence);
    printed(&folder, &["repro", ".", "--all", "--output", "repro.py"]);
    let script = folder.path().join("repro.py");
    let port = unused_port();
    let (code, output) = run_script(&script, gateway(port, ""), port);
    assert_eq!(code, Some(1), "{output}");
    assert_has(&output, "header `retry-after` dropped");
    let port = unused_port();
    let (code, output) = run_script(&script, passing_gateway(port, false, false), port);
    assert_eq!(code, Some(0), "{output}");
    assert_has(&output, "now:           \"7\"");
}

#[test]
fn a_script_completes_a_reply_that_was_cut_off() {
    let mut evidence = buffered();
    let reply = &mut evidence.exchanges[0].reply;
    reply.lockstep = None;
    reply.cut_off = true;
    reply.events.truncate(3);
    let back = evidence.sent[0].reply.as_mut().expect("a reply");
    back.events.truncate(3);
    let folder = folder_of(&evidence);
    printed(&folder, &["repro", ".", "--all", "--output", "repro.py"]);
    let script = folder.path().join("repro.py");
    let port = unused_port();
    let (code, output) = run_script(&script, passing_gateway(port, false, false), port);
    assert_eq!(code, Some(0), "{output}");
    assert_has(&output, "stop reason `end_turn` dropped");
}

/// A gateway that forwards one request and answers with what `answer` makes of the provider's whole reply.
fn answering_gateway(provider: u16, answer: fn(&str) -> String) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("a client");
        let (_, body) = read_message(&mut client);
        let mut server = TcpStream::connect(("127.0.0.1", provider)).expect("the provider");
        let length = body.len();
        write!(server, "POST / HTTP/1.1\r\ncontent-length: {length}\r\n\r\n").expect("a head");
        server.write_all(&body).expect("a body");
        let mut reply = String::new();
        server.read_to_string(&mut reply).expect("a reply");
        client
            .write_all(answer(&reply).as_bytes())
            .expect("a client that reads");
    });
    port
}

/// Writes the script of `evidence` with all differences, and runs it with a gateway that does `answer`.
fn run_all(evidence: &Evidence, answer: fn(&str) -> String) -> (Option<i32>, String) {
    let folder = folder_of(evidence);
    printed(&folder, &["repro", ".", "--all", "--output", "repro.py"]);
    let port = unused_port();
    run_script(
        &folder.path().join("repro.py"),
        answering_gateway(port, answer),
        port,
    )
}

/// A run whose gateway made an error of a stream that the provider cut.
fn cut_stream() -> Evidence {
    let mut evidence = buffered();
    let reply = &mut evidence.exchanges[0].reply;
    reply.lockstep = None;
    reply.message = None;
    reply.events.truncate(3);
    let back = evidence.sent[0].reply.as_mut().expect("a reply");
    back.events.truncate(4);
    back.events[3].data =
        json!({ "type": "error", "error": { "type": "api_error", "message": "not all came" } });
    evidence
}

#[test]
fn a_script_cuts_the_stream_that_the_provider_cut() {
    let ended_with = |end: &'static str| match end {
        // As it came, with its chunks.
        "" => |reply: &str| reply.to_owned(),
        "error" => |reply: &str| {
            let end = match reply.ends_with("0\r\n\r\n") {
                true => "",
                false => {
                    "data: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"cut\"}}\n\n"
                }
            };
            format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n{end}")
        },
        _ => |_: &str| {
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: {\"type\":\"message_stop\"}\n\n"
                .to_owned()
        },
    };
    for (end, status, now) in [
        ("", 0, "with a broken connection"),
        ("error", 1, "with an `error` event"),
        ("message_stop", 1, "complete"),
    ] {
        let (code, output) = run_all(&cut_stream(), ended_with(end));
        assert_has(&output, &format!("now:           \"{now}\""));
        assert_eq!(code, Some(status), "{output}");
    }
}

#[test]
fn a_script_compares_the_type_of_an_error_alone() {
    let mut evidence = lossy();
    let exchange = &mut evidence.exchanges[0];
    exchange.request.body = evidence.sent[0].request.body.clone();
    let error =
        |kind: &str| json!({ "type": "error", "error": { "type": kind, "message": "too large, id 1" } });
    exchange.reply.status = 413;
    exchange.reply.message = None;
    exchange.reply.events[0].data = error("request_too_large");
    let back = evidence.sent[0].reply.as_mut().expect("a reply");
    back.status = 400;
    back.events[0].data = error("invalid_request_error");
    let (code, output) = run_all(&evidence, |_| {
        let body = "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"too large, id 2\"}}";
        format!(
            "HTTP/1.1 400 Bad Request\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    });
    assert_eq!(code, Some(1), "{output}");
    assert_has(&output, "the type of error 413 changed");
    assert_lacks(&output, "the fault does not show");
    let (code, output) = run_all(&evidence, str::to_owned);
    assert_eq!(code, Some(0), "{output}");
}

#[test]
fn a_script_of_a_finding_has_its_differences_alone() {
    let mut evidence = lossy();
    let exchange = &mut evidence.exchanges[0];
    exchange.route = Some(Route::BedrockConverse);
    let message = exchange.reply.message.as_mut().expect("a message");
    message["usage"]["cache_creation"] =
        json!({ "ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 7 });
    let small = Small::new();
    let subject = "reply usage cache_creation.ephemeral_1h_input_tokens dropped";
    small.write(
        "gateways/example.yaml",
        &gateway_file(subject, "anthropic", "haiku"),
    );
    let folder = small.path("target/compat/text/anthropic/haiku");
    evidence_files::write(&evidence, None, &folder).unwrap();
    let under_test = UnderTest {
        gateway: Some("example".into()),
        gateway_version: Some("1.2.3".into()),
        ..UnderTest::default()
    };
    evidence_files::write_under_test(&under_test, &folder).unwrap();
    let repro = |finding: &str| {
        let arguments = [
            "repro",
            "text::anthropic::haiku",
            "--finding",
            finding,
            "--output",
            "repro.py",
        ];
        let mut program = small.program(env!("CARGO_BIN_EXE_compat"), &arguments);
        Ran::new(program.output().unwrap())
    };
    let unknown = repro("other");
    unknown.exits(1);
    unknown.err_has("is of the finding `other`");
    repro("forgotten").exits(0);
    let run = |answer| {
        let port = unused_port();
        run_script(&small.path("repro.py"), answering_gateway(port, answer), port)
    };
    let without =
        |_: &str| "HTTP/1.1 200 OK\r\n\r\n{\"type\":\"message\",\"content\":[],\"usage\":{}}".to_owned();
    let (code, output) = run(without);
    assert_eq!(code, Some(1), "{output}");
    assert_has(&output, "`cache_creation.ephemeral_1h_input_tokens` dropped: 7");
    assert_lacks(&output, "top_k");
    let with = |_: &str| {
        let usage = "{\"cache_creation\":{\"ephemeral_1h_input_tokens\":7}}";
        format!("HTTP/1.1 200 OK\r\n\r\n{{\"type\":\"message\",\"content\":[],\"usage\":{usage}}}")
    };
    let (code, output) = run(with);
    assert_eq!(code, Some(0), "{output}");
    let refused = |_: &str| "HTTP/1.1 500 No\r\n\r\n{}".to_owned();
    let (code, output) = run(refused);
    assert_eq!(code, Some(2), "{output}");
}

#[test]
fn a_trial_without_a_difference_gets_no_script() {
    let mut evidence = lossy();
    let body = evidence.exchanges[0].request.body.clone();
    evidence.sent[0].request.body = body;
    let folder = folder_of(&evidence);
    let output = compat(&folder, &["repro", "."]);
    output.err_has("there is no fault to show");
}

#[test]
fn a_script_shows_no_known_change_of_the_recorded_gateway() {
    let small = Small::new();
    small.write(
        "cells/text/anthropic.yaml",
        "expect:\n  forwarded:\n    unchanged: request\n",
    );
    let file = "gateways/example.yaml";
    small.write(
        file,
        &gateway_file("request field top_k dropped", "anthropic", "haiku"),
    );
    let folder = small.path("target/compat/text/anthropic/haiku");
    evidence_files::write(&lossy(), None, &folder).unwrap();
    let repro = |gateway: Option<&str>| {
        if let Some(gateway) = gateway {
            let under_test = UnderTest {
                gateway: Some(gateway.into()),
                gateway_version: Some("1.2.3".into()),
                ..UnderTest::default()
            };
            evidence_files::write_under_test(&under_test, &folder).unwrap();
        }
        Ran::new(
            small
                .program(env!("CARGO_BIN_EXE_compat"), &["repro", "text::anthropic::haiku"])
                .output()
                .unwrap(),
        )
    };
    let unrecorded = repro(None);
    unrecorded.exits(0);
    unrecorded.err_has("note: the evidence does not name its gateway");
    let unknown = repro(Some("other"));
    unknown.exits(0);
    assert_has(
        &unknown.out,
        "A fault of other 1.2.3, seen in text::anthropic::haiku.",
    );
    assert_eq!(unknown.err, "");
    let known = repro(Some("example"));
    known.exits(1);
    known.err_has("no difference on the wire explains this failure");
    small.write(file, "name: Example\n");
    let broken = repro(Some("example"));
    broken.exits(3);
    assert_has(&broken.out, "--> gateways/example.yaml:1:1");
}

/// One file with the matrix and the timeline of each trial. Evidence that is gone is no error.
#[tokio::test]
async fn a_report_shows_each_trial_as_show_does() {
    let simulator = simulator().await;
    let small = Small::attached(&simulator);
    small.run(&["text::anthropic::haiku"]).await;
    let trial = "text::anthropic::haiku";
    let shown = small.compat(&["show", trial]).await;
    let report = small.compat(&["report"]).await;
    report.exits(0);
    report.err_has("with 1 timeline of 1 trial");
    let page = small.read("compat-report.html");
    assert_starts(&page, "<!doctype html>");
    for line in shown.out.lines().filter(|line| line.contains("→")) {
        assert_has(&page, &line.replace('"', "&quot;"));
    }
    std::fs::remove_dir_all(small.path("target/compat")).unwrap();
    let without = small.compat(&["report", "--output", "-"]).await;
    without.exits(0);
    assert_has(&without.out, trial);
    assert_lacks(&without.out, "what happened");
}
