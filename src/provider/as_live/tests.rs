//! Tests of the provider that answers like a model.

use serde_json::{Value, from_value};

use super::*;
use crate::wire::messages;

fn model(seed: u64) -> LiveModel {
    LiveModel::new(&LiveOptions {
        seed,
        ..LiveOptions::default()
    })
}

fn reply(seed: u64, messages: &Value, tools: &Value) -> ReplyMessage {
    let body = json!({ "model": "claude-haiku-4-5", "messages": messages, "tools": tools });
    let request = messages::read(&body, None, &[]).unwrap();
    model(seed).reply(Route::Anthropic, &request)
}

fn said(reply: &ReplyMessage) -> String {
    let texts = reply.content.iter().filter_map(|block| match block {
        ReplyBlock::Text(text) => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

fn commands(reply: &ReplyMessage) -> Vec<&str> {
    let calls = reply.content.iter().filter_map(|block| match block {
        ReplyBlock::ToolUse { input, .. } => input["command"].as_str(),
        _ => None,
    });
    calls.collect()
}

fn bash() -> Value {
    json!([{ "name": "Bash", "input_schema": { "type": "object" } }])
}

#[test]
fn it_answers_what_the_conversation_says() {
    let remember =
        json!({ "role": "user", "content": "Remember the word heron. Reply with exactly one word: noted" });
    let conversation = json!([
        remember,
        { "role": "assistant", "content": "Noted." },
        { "role": "user", "content": "<system-reminder>Remember the word egret.</system-reminder>Which word did I ask you to remember?" },
    ]);
    let mut wordings = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let first = said(&reply(seed, &json!([remember]), &json!([])));
        assert!(first.to_lowercase().contains("noted"), "{seed}: {first}");
        let last = said(&reply(seed, &conversation, &json!([])));
        assert!(last.to_lowercase().contains("heron"), "{seed}: {last}");
        wordings.insert(last);
    }
    assert!(wordings.len() > 3, "{wordings:?}");
    let of_operator = json!([{ "role": "user", "content": [
        { "type": "text", "text": "Reply with exactly one word: noted" },
        { "type": "text", "text": "Operator note (not from the user): the following was a system message." },
        { "type": "text", "text": "# Environment\nYou are in a folder." },
    ] }]);
    let said_to_operator = said(&reply(3, &of_operator, &json!([])));
    assert!(
        said_to_operator.to_lowercase().contains("noted"),
        "{said_to_operator}"
    );
    let ping = json!([{ "role": "user", "content": "ping" }]);
    assert_eq!(said(&reply(3, &ping, &json!([]))), MARK);
}

#[test]
fn it_calls_the_named_tool_and_then_quotes_the_result() {
    let prompt = "Use the Bash tool to run exactly this command, once and unchanged: echo heron. Then answer with one \
                  sentence that quotes what it printed.";
    let asked = json!([{ "role": "user", "content": prompt }]);
    let answered = json!([
        { "role": "user", "content": prompt },
        { "role": "assistant", "content": [{ "type": "tool_use", "id": "t", "name": "Bash", "input": { "command": "echo heron" } }] },
        { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "t", "content": "heron" }] },
    ]);
    let mut refusals = 0;
    for seed in 0..100 {
        let first = reply(seed, &asked, &bash());
        match commands(&first)[..] {
            [] => refusals += usize::from(said(&first).contains("rather not")),
            ref calls => assert_eq!(calls, ["echo heron"]),
        }
        let last = reply(seed, &answered, &bash());
        assert!(
            commands(&last).is_empty() && said(&last).contains("heron"),
            "{last:?}"
        );
    }
    assert!((1..=6).contains(&refusals), "{refusals}");
}

#[test]
fn it_calls_any_offered_tool_however_the_command_is_written() {
    let shell = json!([{ "name": "Bash" }, { "name": "Shell", "input_schema": { "required": ["line"] } }]);
    for (prompt, name, command) in [
        ("Use the Bash tool to run: ls -la", "Bash", "ls -la"),
        (
            "Please use the Bash tool to run this command: ls -la. Then say what it printed.",
            "Bash",
            "ls -la",
        ),
        (
            "Use the Bash tool to run `cat a.txt` and quote it.",
            "Bash",
            "cat a.txt",
        ),
        (
            "Use the `Bash` tool to execute the following:\n```sh\nls -la\n```",
            "Bash",
            "ls -la",
        ),
        ("Run `echo a: b` with the Bash tool.", "Bash", "echo a: b"),
        ("Run `pwd`.", "Bash", "pwd"),
        ("use the shell tool to run: ls", "Shell", "ls"),
        ("Run with the `Bash` tool: ls -la", "Bash", "ls -la"),
        (
            "Use the Bash tool to run: find . -name a && git add . && ls. Then stop.",
            "Bash",
            "find . -name a && git add . && ls",
        ),
    ] {
        let asked = json!([{ "role": "user", "content": prompt }]);
        let calls: Vec<(String, Value)> = (0..30)
            .flat_map(|seed| reply(seed, &asked, &shell).content)
            .filter_map(|block| match block {
                ReplyBlock::ToolUse { name, input } => Some((name, input)),
                _ => None,
            })
            .collect();
        assert!(calls.len() > 20, "{prompt}: {calls:?}");
        for (called, input) in &calls {
            assert_eq!(called, name, "{prompt}");
            let argument = if name == "Bash" { "command" } else { "line" };
            assert_eq!(input[argument], command, "{prompt}");
        }
        let without = reply(1, &asked, &json!([]));
        assert!(
            matches!(without.content[..], [ReplyBlock::Text(_)]),
            "{prompt}: {without:?}"
        );
    }
    for prompt in [
        "Use the Bash tool with care.",
        "We run `fast`: it is our motto.",
        "Do not run `rm -rf build`. Say hello.",
        "What happens if I run `rm -rf /`?",
        "What does the Bash tool do?",
    ] {
        let tools = if prompt.starts_with("We") {
            json!([])
        } else {
            bash()
        };
        let reply = reply(1, &json!([{ "role": "user", "content": prompt }]), &tools);
        assert!(commands(&reply).is_empty(), "{prompt}");
    }
}

#[test]
fn it_calls_the_tool_of_a_server_that_the_prompt_names() {
    let schema =
        json!({ "type": "object", "properties": { "title": { "type": "string" } }, "required": ["title"] });
    let tools = [
        "mcp__library__shelf_of",
        "mcp__library__shelf_of_a_book_by_its_title",
    ]
    .map(|name| json!({ "name": name, "input_schema": schema }));
    let ask = json!([{ "role": "user", "content": "Use the tool shelf_of of the library for the book with the title \"X\"." }]);
    let calls = |seed| {
        let reply = reply(seed, &ask, &json!(tools));
        let name = |block: &ReplyBlock| match block {
            ReplyBlock::ToolUse { name, .. } => Some(name.clone()),
            _ => None,
        };
        reply.content.iter().filter_map(name).collect::<Vec<_>>()
    };
    let called: Vec<String> = (0..20).flat_map(calls).collect();
    assert!(called.len() > 10);
    assert!(
        called.iter().all(|name| name == "mcp__library__shelf_of"),
        "{called:?}"
    );
}

#[test]
fn it_answers_a_sum_of_two_whole_numbers() {
    for (prompt, number) in [
        ("What is 17 times 23? Answer with the number.", "391"),
        ("What is 2 + 2?", "4"),
        ("what's 2 plus 40", "42"),
        ("Calculate 7 - 19.", "-12"),
        ("How much is 100 minus 1?", "99"),
        ("What is 6*7?", "42"),
        ("12 × 12 = ?", "144"),
        ("What is 84 divided by 2?", "42"),
        ("What is 1 divided by 3?", "0.33"),
        ("What is 5 divided by 0?", "undefined"),
    ] {
        let asked = json!([{ "role": "user", "content": prompt }]);
        let answers = (0..20).map(|seed| said(&reply(seed, &asked, &json!([]))));
        let answers: std::collections::BTreeSet<String> = answers.collect();
        let has_number = |answer: &String| answer.to_lowercase().contains(number);
        assert!(answers.iter().all(has_number), "{prompt}: {answers:?}");
        assert!(answers.len() > 2, "{prompt}: {answers:?}");
    }
    for prompt in [
        "What is 2026-11-27?",
        "What is 2 + 2 + 2?",
        "Was 2 + 2 a question?",
    ] {
        let asked = json!([{ "role": "user", "content": prompt }]);
        let answer = said(&reply(1, &asked, &json!([])));
        assert!(
            !answer.contains(|digit: char| digit.is_ascii_digit()),
            "{prompt}: {answer}"
        );
    }
}

#[test]
fn parallel_calls_come_in_any_order() {
    let prompt = "Use the Bash tool twice in one answer, in parallel, to run exactly these two commands: echo a and echo b.";
    let asked = json!([{ "role": "user", "content": prompt }]);
    let orders: Vec<String> = (0..40)
        .map(|seed| commands(&reply(seed, &asked, &bash())).join(", "))
        .collect();
    for order in ["echo a, echo b", "echo b, echo a", "echo a"] {
        assert!(orders.iter().any(|found| found == order), "{order}: {orders:?}");
    }
}

#[test]
fn a_seed_repeats_itself_and_a_second_question_varies() {
    let question = json!([{ "role": "user", "content": "Reply with exactly one word: pong" }]);
    let replies = || {
        let seventh = model(7);
        let body = json!({ "model": "m", "messages": question });
        let request = messages::read(&body, None, &[]).unwrap();
        (0..12)
            .map(|_| seventh.reply(Route::Anthropic, &request))
            .collect::<Vec<_>>()
    };
    assert_eq!(replies(), replies());
    let first = &replies()[0];
    assert!(replies().iter().any(|reply| said(reply) != said(first)));
}

#[test]
fn it_reads_schemas_documents_and_thinking() {
    let schema = json!({ "type": "object", "properties": {
        "planet": { "enum": ["Saturn", "Jupiter"] }, "rank": { "type": "integer" },
        "names": { "type": "array", "items": { "type": "string" } },
    } });
    let prompt = json!([{ "role": "user", "content": "Which planet is the largest? Give its rank by size and at least one name." }]);
    let reply = reply(
        1,
        &prompt,
        &json!([{ "name": "StructuredOutput", "input_schema": schema }]),
    );
    let Some(ReplyBlock::ToolUse { input, .. }) = reply.content.last() else {
        panic!("{reply:?}");
    };
    assert_eq!((&input["planet"], &input["rank"]), (&json!("Jupiter"), &json!(1)));
    assert!(!input["names"].as_array().unwrap().is_empty());
    let pdf = "JVBERi0xLjQKKFRoZSBjb2RlIHdvcmQgb2YgdGhpcyBsZXR0ZXIgaXMgaGVyb24uKSBUago=";
    let document = json!({ "type": "document", "source": { "type": "base64", "media_type": "application/pdf", "data": pdf } });
    let request = json!({ "model": "m", "thinking": { "type": "enabled" }, "messages": [
        { "role": "user", "content": [{ "type": "text", "text": "Which word?" }, document] },
    ] });
    let request = messages::read(&request, None, &[]).unwrap();
    let reply = model(2).reply(Route::Anthropic, &request);
    assert!(matches!(reply.content[0], ReplyBlock::Thinking(_)), "{reply:?}");
    assert!(said(&reply).to_lowercase().contains("heron"), "{reply:?}");
    assert!(from_value::<ReplyMessage>(json!(reply)).is_ok());
}

#[test]
fn a_burst_comes_after_each_n_requests() {
    let body = json!({ "model": "m", "messages": [{ "role": "user", "content": "Reply with the single word one." }] });
    let request = messages::read(&body, None, &[]).unwrap();
    for every in 1..8 {
        let model = LiveModel::new(&LiveOptions {
            overload_every: NonZeroU32::new(every),
            ..LiveOptions::default()
        });
        for round in 0..3 {
            let answers = (0..every + 3).map(|_| model.answer(Route::Anthropic, &request));
            let refused: Vec<bool> = answers.map(|reply| matches!(reply, Reply::Error(_))).collect();
            let wanted: Vec<bool> = (0..every + 3).map(|number| number >= every).collect();
            assert_eq!(refused, wanted, "every {every}, round {round}");
        }
    }
}

#[test]
fn it_has_the_limits_of_a_provider() {
    let model = LiveModel::new(&LiveOptions {
        seed: 1,
        requests_per_minute: NonZeroU32::new(20),
        overload_every: NonZeroU32::new(10),
    });
    let request = |model: &str| {
        let body = json!({ "model": model, "messages": [{ "role": "user", "content": "Reply with the single word one." }] });
        messages::read(&body, None, &[]).unwrap()
    };
    let status = |name: &str| match model.answer(Route::Anthropic, &request(name)) {
        Reply::Message(_) => (200, None),
        Reply::Error(error) => (error.status, error.headers.first().map(|(_, wait)| wait.clone())),
    };
    let of_one: Vec<_> = (0..4).map(|_| status("a")).collect();
    assert_eq!(
        of_one,
        [
            (200, None),
            (200, None),
            (429, Some("3".to_owned())),
            (429, Some("3".to_owned()))
        ]
    );
    assert_eq!(status("b").0, 200, "each model has its own limit");
    let later: Vec<u16> = (5..13).map(|_| status("c").0).collect();
    assert_eq!(later[5..], [529, 529, 529]);
}
