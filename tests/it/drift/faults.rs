//! Each kind of drift, made on purpose in traffic without drift; the command and its exit statuses.

use compat_matrix::drift::report::schemas;
use compat_matrix::drift::{Cassette, DriftKind, RecordedReply, RecordedSide, Recording};
use compat_matrix::wire::Route;
use compat_matrix::wire::exchange::{Body, SentEvent};
use serde_json::{Value, json};

use super::{faults_of, report_of, traffic, write};
use crate::support::files::Folder;
use crate::support::text::assert_has;

type Change = fn(&mut Recording);

fn reply(recording: &mut Recording) -> &mut RecordedReply {
    recording.reply.as_mut().expect("a reply")
}

fn body(recording: &mut Recording) -> &mut Value {
    match &mut recording.request.body {
        Body::Json(body) => body,
        other => panic!("{other:?}"),
    }
}

fn event<'a>(recording: &'a mut Recording, kind: &str) -> &'a mut Value {
    let events = reply(recording).events.iter_mut();
    let mut data = events.map(|event| &mut event.data);
    data.find(|data| data["type"] == kind || data.get(kind).is_some())
        .expect("an event")
}

fn position(recording: &mut Recording, kind: &str) -> usize {
    let mut events = reply(recording).events.iter();
    events
        .position(|event| event.data["type"] == kind)
        .expect("an event")
}

/// The route, whether it is a stream, the change, and the fault. A stream that breaks off is compared as far as it came.
const FAULTS: [(Route, bool, Change, &str); 22] = [
    (
        Route::Anthropic,
        false,
        |recording| reply(recording).events[0].data["usage"]["region"] = "us".into(),
        "new field: usage.region [string | ]",
    ),
    (
        Route::BedrockConverse,
        true,
        |recording| event(recording, "metadata")["metadata"]["trace"] = json!({"guardrail": {}}),
        "new field: metadata: metadata.trace [object | ]",
    ),
    (
        Route::VertexAi,
        true,
        |recording| {
            let delta = event(recording, "message_delta")["delta"].as_object_mut();
            delta.expect("a delta").remove("stop_sequence");
        },
        "missing field: message_delta: delta.stop_sequence [ | null]",
    ),
    (
        Route::Azure,
        false,
        |recording| reply(recording).events[0].data["usage"]["input_tokens"] = "12".into(),
        "other type: usage.input_tokens [string | number]",
    ),
    (
        Route::Anthropic,
        true,
        |recording| {
            let data = json!({"type": "message_progress", "done": 0.5});
            reply(recording).events.insert(1, SentEvent { at_ms: 0, data });
        },
        "new event: message_progress [sent | ]",
    ),
    (
        Route::BedrockInvoke,
        true,
        |recording| {
            reply(recording)
                .events
                .retain(|event| event.data["type"] != "content_block_stop");
        },
        "missing event: content_block_stop [ | sent]",
    ),
    (
        Route::Anthropic,
        true,
        |recording| {
            let (delta, stop) = (
                position(recording, "message_delta"),
                position(recording, "message_stop"),
            );
            reply(recording).events.swap(delta, stop);
        },
        "other order: after content_block_stop [message_stop | message_delta]",
    ),
    (
        Route::BedrockMantle,
        false,
        |recording| reply(recording).status = 202,
        "other status: status [202 | 200]",
    ),
    (
        Route::Anthropic,
        false,
        |recording| {
            let error =
                json!({"type": "error", "error": {"type": "busy_error", "message": "m"}, "request_id": "r"});
            *reply(recording) = RecordedReply {
                status: 529,
                headers: vec![
                    ("content-type".into(), "application/json".into()),
                    ("request-id".into(), "r".into()),
                    ("anthropic-organization-id".into(), "o".into()),
                ],
                stream: false,
                events: vec![SentEvent {
                    at_ms: 0,
                    data: error,
                }],
                cut_off: false,
            };
        },
        "other error: error.type [\"busy_error\" | \"overloaded_error\"]",
    ),
    (
        Route::BedrockInvoke,
        false,
        |recording| {
            reply(recording)
                .headers
                .push(("x-amzn-bedrock-region".into(), "a".into()));
        },
        "new header: header x-amzn-bedrock-region [present | ]",
    ),
    (
        Route::Azure,
        false,
        |recording| {
            reply(recording)
                .headers
                .retain(|(name, _)| name != "apim-request-id");
        },
        "missing header: header apim-request-id [ | present]",
    ),
    (
        Route::VertexAi,
        true,
        |recording| {
            for (name, value) in &mut reply(recording).headers {
                if name == "content-type" {
                    "application/json".clone_into(value);
                }
            }
        },
        "other header: header content-type [application/json | text/event-stream]",
    ),
    (
        Route::Anthropic,
        true,
        |recording| {
            reply(recording)
                .headers
                .retain(|(name, _)| name != "content-type")
        },
        "missing header: header content-type [ | text/event-stream]",
    ),
    (
        Route::Anthropic,
        false,
        |recording| {
            recording.side = RecordedSide::Client;
            reply(recording)
                .headers
                .retain(|(name, _)| name != "content-type");
        },
        "missing header: header content-type [ | application/json]",
    ),
    (
        Route::BedrockInvoke,
        false,
        |recording| body(recording)["anthropic_beta"] = json!(["shiny-2027-01-01"]),
        "beta accepted: shiny-2027-01-01 [accepted | refused]",
    ),
    (
        Route::Anthropic,
        false,
        |recording| body(recording)["frobnicate"] = 1.into(),
        "request accepted: ",
    ),
    (
        Route::Anthropic,
        false,
        |recording| {
            let error = json!({"type": "error", "error": {"type": "invalid_request_error", "message": "messages.12: too odd"}});
            let reply = reply(recording);
            reply.status = 400;
            reply.events = vec![SentEvent {
                at_ms: 0,
                data: error,
            }];
        },
        "request refused: status 400: messages.N: too odd [refused | accepted]",
    ),
    (
        Route::BedrockConverse,
        true,
        |recording| {
            let data =
                json!({"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"image": {"format": "png"}}}});
            reply(recording).events.insert(2, SentEvent { at_ms: 0, data });
        },
        "new event: contentBlockDelta[image] [sent | ]",
    ),
    (
        Route::Anthropic,
        true,
        |recording| {
            let end = position(recording, "message_delta");
            reply(recording).events.truncate(end);
            fail(recording, "brand_new_error");
        },
        "other error: error: error.type [\"brand_new_error\" | \"unknown_error\"]",
    ),
    (
        Route::Anthropic,
        true,
        |recording| fail(recording, "overloaded_error"),
        "other order: after message_stop [error | the end]",
    ),
    (
        Route::Anthropic,
        true,
        |recording| {
            let end = position(recording, "message_delta");
            let reply = reply(recording);
            reply.cut_off = true;
            reply.events.truncate(end);
            reply.events.swap(end - 2, end - 1);
        },
        "other order: after content_block_start[text] [content_block_stop | content_block_delta[text_delta]]",
    ),
    (
        Route::Anthropic,
        true,
        |recording| {
            let end = position(recording, "message_delta");
            reply(recording).events.truncate(end);
            reply(recording).cut_off = true;
            let message = event(recording, "message_start")["message"].as_object_mut();
            message.expect("a message").remove("model");
        },
        "missing field: message_start: message.model [ | string]",
    ),
];

/// The first good answer in `cassette` on a route.
fn index(cassette: &Cassette, route: Route, stream: bool) -> usize {
    let mut recordings = cassette.recordings.iter();
    let is_wanted = |recording: &Recording| {
        let reply = recording.reply.as_ref();
        recording.route == Some(route)
            && recording.request.path != "/token"
            && reply.is_some_and(|reply| reply.status == 200 && reply.stream == stream)
    };
    recordings
        .position(|placed| is_wanted(&placed.recording))
        .expect("an answer")
}

/// An `error` event of this type at the end of a stream.
fn fail(recording: &mut Recording, kind: &str) {
    let error = json!({"type": "error", "error": {"type": kind, "message": "m"}});
    reply(recording).events.push(SentEvent {
        at_ms: 0,
        data: error,
    });
}

#[tokio::test]
async fn each_kind_of_drift_is_found_once() {
    let clean = traffic(5).await;
    for (route, stream, change, fault) in FAULTS {
        let mut altered = clean.clone();
        let at = index(&clean, route, stream);
        change(&mut altered.recordings[at].recording);
        altered.head.sides = vec![altered.recordings[at].recording.side];
        let report = report_of(&altered, &[]).await;
        let found = faults_of(&report);
        assert_eq!(found.len(), 1, "{fault}: {found:#?}");
        assert!(found[0].starts_with(fault), "{fault}: {found:#?}");
        assert_eq!(report.drift[0].recordings, [clean.recordings[at].place.clone()]);
        let mut hidden = report.not_compared.iter();
        let hidden = hidden.find(|skipped| skipped.reason.contains("another status"));
        let hides = matches!(
            report.drift[0].kind,
            DriftKind::BetaAccepted | DriftKind::Accepted | DriftKind::Refused | DriftKind::OtherStatus
        );
        assert_eq!(
            hidden.map(|skipped| &skipped.recordings),
            hides.then_some(&report.drift[0].recordings),
            "{fault}: only the fault of the request shows"
        );
    }
}

#[tokio::test]
async fn what_the_provider_cleared_is_no_drift() {
    let clean = traffic(5).await;
    for stream in [false, true] {
        let mut altered = clean.clone();
        let at = index(&clean, Route::Anthropic, stream);
        let recording = &mut altered.recordings[at].recording;
        let beta = "context-management-2025-06-27".to_owned();
        recording
            .request
            .headers
            .push(("anthropic-beta".to_owned(), beta));
        body(recording)["context_management"] = json!({"edits": [{"type": "clear_tool_uses_20250919"}]});
        let edit =
            json!({"type": "clear_tool_uses_20250919", "cleared_tool_uses": 1, "cleared_input_tokens": 10});
        let message = match stream {
            true => event(recording, "message_delta"),
            false => &mut reply(recording).events[0].data,
        };
        message["context_management"] = json!({"applied_edits": [edit]});
        assert_eq!(faults_of(&report_of(&altered, &[]).await), [""; 0], "{stream}");
    }
}

#[tokio::test]
async fn a_fault_of_many_recordings_is_named_once() {
    let mut cassette = traffic(5).await;
    let mut changed = 0;
    for placed in &mut cassette.recordings {
        for event in placed
            .recording
            .reply
            .iter_mut()
            .flat_map(|reply| &mut reply.events)
        {
            if event.data["type"] == "message_delta" {
                event.data["usage"]["geo"] = "us".into();
                changed += 1;
            }
        }
    }
    let report = report_of(&cassette, &[]).await;
    assert_eq!(
        faults_of(&report),
        ["new field: message_delta: usage.geo [string | ]"]
    );
    assert_eq!(report.drift[0].recordings.len(), changed);
    assert_eq!(report.drift[0].routes.len(), 5, "all but Converse");
}

#[tokio::test]
async fn a_recording_that_cannot_be_sent_is_named() {
    let mut cassette = traffic(5).await;
    let at = index(&cassette, Route::Anthropic, false);
    let good = cassette.recordings[at].clone();
    let changes: [Change; 3] = [
        |recording| recording.request.query = "to=[redacted, 30 bytes]".into(),
        |recording| recording.request.path = "/v1/mess ages".into(),
        |recording| recording.request.method = "G E T".into(),
    ];
    cassette.recordings.truncate(0);
    for change in changes {
        let mut bad = good.clone();
        change(&mut bad.recording);
        cassette.recordings.push(bad);
    }
    cassette.recordings.push(good.clone());
    let report = report_of(&cassette, &[]).await;
    assert_eq!(report.compared, 1);
    assert_eq!(report.not_compared.len(), 3, "{:?}", report.not_compared);
    for skipped in &report.not_compared {
        assert_has(&skipped.reason, "it cannot be sent to the simulator: `");
        assert_has(&skipped.reason, "` is no valid request: ");
        assert_eq!(skipped.recordings, std::slice::from_ref(&good.place));
    }
}

#[tokio::test]
async fn the_command_says_what_drifts_and_what_is_broken() {
    let folder = Folder::new();
    let cassette = folder.path("cassette");
    let name = cassette.to_str().expect("a path");
    let clean = traffic(5).await;
    let mut altered = clean.clone();
    reply(&mut altered.recordings[index(&clean, Route::Anthropic, false)].recording).events[0].data["geo"] =
        "us".into();
    write(&altered, &cassette);
    let plain = folder.path("plain");
    write(&clean, &plain);
    let ran = folder.compat(&["drift", name]);
    ran.exits(3);
    ran.out_has("drift: 1 fault in 60 recordings (rehearsal, 2026-11-27)", 1);
    ran.out_has("new field        geo", 1);
    ran.out_has("messages on anthropic, provider side", 1);
    ran.out_has(
        "not compared, because a request for an access token is a credential",
        1,
    );
    folder
        .compat(&["drift", name, "--format", "markdown"])
        .out_has("| new field | geo |", 1);
    let json = folder.compat(&["drift", name, "--format", "json"]);
    let report: Value = serde_json::from_str(&json.out).expect("JSON");
    let [head, line, schema] = schemas().map(|(_, text)| serde_json::from_str::<Value>(&text).expect("JSON"));
    jsonschema::validate(&schema, &report).expect("the report follows its schema");
    let read = |file: &str| std::fs::read_to_string(cassette.join(file)).expect("a file");
    let lines = read("traffic/all/haiku.jsonl");
    jsonschema::validate(
        &head,
        &serde_json::from_str(&read("cassette.json")).expect("JSON"),
    )
    .expect("the head");
    for text in lines.lines() {
        jsonschema::validate(&line, &serde_json::from_str(text).expect("JSON")).expect("a line");
    }
    let mut silent = clean.clone();
    silent
        .recordings
        .iter_mut()
        .for_each(|placed| placed.recording.reply = None);
    let unanswered = folder.path("silent");
    write(&silent, &unanswered);
    let unanswered = unanswered.to_str().expect("a path");
    let nothing = folder.compat(&["drift", unanswered]);
    nothing.exits(2);
    nothing.out_has("not compared, because the client hung up before a reply came", 1);
    nothing.err_has("error: nothing could be compared: `");
    let nothing = folder.compat(&["provider", "serve", "--replay", unanswered]);
    nothing.exits(1);
    nothing.err_has("has no reply to play: record again");
    let plain = plain.to_str().expect("a path");
    folder.compat(&["drift", plain]).exits(0);
    let excepted = folder.compat(&["drift", name, "--except", name]);
    excepted.exits(0);
    excepted.out_has("1 fault in the other cassette too, so not drift", 1);
    for (other, version) in [("older", "2.1.327"), ("newer", "2.1.330")] {
        altered.head.claude_code_version = Some(version.to_owned());
        write(&altered, &folder.path(other));
    }
    let excepted = folder.compat(&["drift", "newer", "--except", "older"]);
    excepted.exits(0);
    let note = "note: the other cassette has Claude Code 2.1.327, and this one has Claude Code 2.1.330: ";
    excepted.out_has(note, 1);
    let nothing = folder.compat(&["drift", "nowhere"]);
    nothing.exits(2);
    nothing.err_has("`nowhere` is no cassette: it has no `cassette.json`; `--record FOLDER` of a run");
    std::fs::write(
        cassette.join("traffic/all/haiku.jsonl"),
        format!("{lines}{{\"trial\": 5}}\n"),
    )
    .expect("a file");
    let broken = folder.compat(&["drift", name]);
    broken.exits(2);
    broken.err_has("traffic/all/haiku.jsonl:62:");
    broken.err_has("; remove the line, or record again");
    std::fs::write(cassette.join("cassette.json"), "{\"schema_version\": \"2\"}").expect("a file");
    let broken = folder.compat(&["drift", name]);
    broken.exits(2);
    broken.err_has("cassette.json:1:");
    broken.err_has("; record again with this version of `compat`");
}
