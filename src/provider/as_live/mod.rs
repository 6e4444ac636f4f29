//! A provider that answers as a cooperative model would. It knows no trial and no script: it reads the request.
//!
//! It rehearses live runs, so it varies as models do: wording, case, punctuation, a sentence more, a preamble before a call,
//! the pieces of a stream, the order of parallel calls, and now and then a refusal to use a tool. A seed repeats its choices.

mod dice;
pub(super) mod instance;
mod reading;
mod steps;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroU32;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use parking_lot::Mutex;
use regex::Regex;
use serde_json::{Value, json};

use crate::wire::Route;
use crate::wire::message::MessageRequest;
use crate::wire::script::{DeltaSplit, Pace, Reply, ReplyBlock, ReplyError, ReplyMessage};
use dice::Dice;
use reading::Reading;

/// The answer to the prompt `ping` alone, as the preflight of a live run sends it. It shows that no live provider answered.
pub const MARK: &str = "pong, from the provider simulator that answers like a model";

/// One of so many requests that ask for a tool gets none.
pub const REFUSES_ONE_IN: u64 = 60;

/// The words around the name of a tool that a model refuses to use.
const REFUSAL: [&str; 2] = [
    "I would rather not use the tool ",
    " for this. Tell me if I should go on.",
];

/// The tool that `message`, a reply, refuses to use by choice of the seed.
pub fn refused_tool(message: &Value) -> Option<&str> {
    let text = message["content"].as_array()?.last()?["text"].as_str()?;
    text.strip_prefix(REFUSAL[0])?.strip_suffix(REFUSAL[1])
}

/// How a provider that answers like a model behaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveOptions {
    /// Selects its variations.
    pub seed: u64,
    /// What it allows for each route and model; more get a 429 with `retry-after`.
    pub requests_per_minute: Option<NonZeroU32>,
    /// After each so many requests that it answers, three in a row get a 529.
    pub overload_every: Option<NonZeroU32>,
}

/// The requests in a row that an overloaded provider refuses.
const BURST: u64 = 3;

pub(super) struct LiveModel {
    seed: u64,
    /// By route and model.
    limiter: Option<DefaultKeyedRateLimiter<String>>,
    retry_after: u64,
    overload_every: Option<u64>,
    requests: AtomicU64,
    /// How often each request was asked: a model that is asked again answers in other words.
    asked: Mutex<HashMap<u64, u64>>,
}

impl LiveModel {
    pub(super) fn new(options: &LiveOptions) -> Self {
        let limit = options.requests_per_minute;
        // A few requests may come at once, as at a provider that fills a bucket.
        let quota = limit.map(|limit| {
            let burst = NonZeroU32::new(limit.get() / 10).unwrap_or(NonZeroU32::MIN);
            Quota::per_minute(limit).allow_burst(burst)
        });
        Self {
            seed: options.seed,
            limiter: quota.map(RateLimiter::keyed),
            retry_after: limit.map_or(1, |limit| 60_u64.div_ceil(limit.get().into())),
            overload_every: options.overload_every.map(|every| every.get().into()),
            requests: AtomicU64::new(0),
            asked: Mutex::default(),
        }
    }

    /// The reply, or the error of a provider that is overloaded or limits its requests.
    pub(super) fn answer(&self, route: Route, request: &MessageRequest) -> Reply {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let is_overloaded = |every: u64| number % (every + BURST) >= every;
        let error = |status, message: &str, headers| {
            Reply::Error(ReplyError {
                status,
                message: message.to_owned(),
                headers,
                ..ReplyError::default()
            })
        };
        let key = format!("{} {}", route.as_str(), request.model);
        if self.overload_every.is_some_and(is_overloaded) {
            return error(529, "Overloaded", Vec::new());
        }
        if self
            .limiter
            .as_ref()
            .is_some_and(|limiter| limiter.check_key(&key).is_err())
        {
            let wait = ("retry-after".to_owned(), self.retry_after.to_string());
            return error(429, "This request would exceed your rate limit.", vec![wait]);
        }
        Reply::Message(self.reply(route, request))
    }

    fn reply(&self, route: Route, request: &MessageRequest) -> ReplyMessage {
        let reading = Reading::of(request);
        let of = (
            route.as_str(),
            &request.model,
            &reading.prompt,
            request.messages.len(),
        );
        let mut hasher = DefaultHasher::new();
        of.hash(&mut hasher);
        let mut asked = self.asked.lock();
        let times = asked.entry(hasher.finish()).or_default();
        *times += 1;
        let mut dice = Dice::new(self.seed, &(of, *times));
        drop(asked);
        let mut content: Vec<ReplyBlock> = thought(&reading, &mut dice).into_iter().collect();
        content.extend(answer(&reading, &mut dice));
        ReplyMessage {
            content,
            pace: Pace {
                first_byte_ms: dice.between(20, 250),
                between_ms: dice.between(3, 12),
                ..Pace::default()
            },
            split: DeltaSplit {
                words: dice.between(1, 4) as usize,
                arguments: dice.between(2, 9) as usize,
            },
            ..ReplyMessage::default()
        }
    }
}

/// A model that must think does so first, and between calls where the request allows it.
fn thought(reading: &Reading<'_>, dice: &mut Dice) -> Option<ReplyBlock> {
    let request = reading.request;
    let is_adaptive = request.thinking.as_ref()?["type"] == "adaptive";
    let may_interleave = is_adaptive
        || request
            .betas
            .iter()
            .any(|beta| beta.starts_with("interleaved-thinking"));
    let thinks = match (reading.called.is_empty(), is_adaptive) {
        (true, false) => true,
        (true, true) => asks_to_think(reading) || dice.once_in(3),
        (false, _) => may_interleave && (asks_to_think(reading) || dice.once_in(2)),
    };
    thinks.then(|| {
        let thoughts = [
            "The user asks for something definite. I do exactly that.",
            "Let me work this out. 17 times 20 is 340, and 17 times 3 is 51, which makes 391.",
            "I have what I need for the next step.",
        ];
        ReplyBlock::Thinking(dice.pick(&thoughts).to_owned())
    })
}

fn asks_to_think(reading: &Reading<'_>) -> bool {
    reading.prompt.to_lowercase().contains("think")
}

fn answer(reading: &Reading<'_>, dice: &mut Dice) -> Vec<ReplyBlock> {
    if reading.offers("web_search") && reading.prompt.starts_with("Perform a web search") {
        return web_search(reading);
    }
    let calls = steps::next(reading, dice);
    if calls.is_empty() {
        return vec![ReplyBlock::Text(words(reading, dice))];
    }
    if reading.called.is_empty() && dice.once_in(REFUSES_ONE_IN) {
        return vec![ReplyBlock::Text(REFUSAL.join(&calls[0].name))];
    }
    let preambles = ["", "", "I'll do that now.", "Sure, one moment.", "On it."];
    let preamble = Some(dice.pick(&preambles)).filter(|text| !text.is_empty());
    let preamble = preamble.map(|text| ReplyBlock::Text(text.to_owned()));
    let calls = calls
        .into_iter()
        .map(|steps::Call { name, input }| ReplyBlock::ToolUse { name, input });
    preamble.into_iter().chain(calls).collect()
}

/// The provider runs this tool itself. Claude Code asks for a search with a request of its own.
fn web_search(reading: &Reading<'_>) -> Vec<ReplyBlock> {
    let query = reading.prompt.rsplit(": ").next().unwrap_or_default().to_owned();
    let address = format!("https://en.wikipedia.example/wiki/{}", query.replace(' ', "_"));
    let text = format!("{query}: this is a table tennis game, one of the first video games.");
    let found = json!({
        "type": "web_search_result", "url": address, "title": query, "encrypted_content": "aGVyb24=", "page_age": null,
    });
    let cited = json!({
        "type": "web_search_result_location", "url": address, "title": query, "encrypted_index": "aGVyb24=",
        "cited_text": text,
    });
    vec![
        ReplyBlock::ServerToolUse {
            name: "web_search".to_owned(),
            input: json!({ "query": query }),
        },
        ReplyBlock::ServerToolResult(json!({ "type": "web_search_tool_result", "content": [found] })),
        ReplyBlock::CitedText {
            text,
            citations: vec![cited],
        },
    ]
}

/// An answer in words.
fn words(reading: &Reading<'_>, dice: &mut Dice) -> String {
    let prompt = &reading.prompt;
    if prompt == "ping" {
        return MARK.to_owned();
    }
    let facts = reading.facts();
    if !facts.is_empty() {
        return about(&facts, prompt, dice);
    }
    let word = one_word(reading);
    if let Some(word) = word {
        return styled(&word, dice);
    }
    if let Some(number) = arithmetic(prompt) {
        return styled(&number, dice);
    }
    if let Some(begin) = reading.told(r#"(?i)begin with the words\s+"([^"]+)""#) {
        return essay(&begin, dice);
    }
    if let Some(part) = reading.told(r"Write (\S+) [\w,]+ times") {
        let preamble = dice.pick(&["", "", "Here it is: "]);
        return format!("{preamble}{}", part.repeat(dice.between(8, 12) as usize));
    }
    if reading.wants_summary() {
        let told = reading.told(r"(?i)remember the word (\w+)").unwrap_or_default();
        return format!("<summary>The user wants the word {told} to be remembered.</summary>");
    }
    dice.pick(&["Understood.", "All right. What comes next?", "I see."])
        .to_owned()
}

/// The single word that the prompt asks for.
fn one_word(reading: &Reading<'_>) -> Option<String> {
    let prompt = &reading.prompt;
    let is_question = |words: &str| prompt.to_lowercase().contains(words);
    let asked = [
        r"(?i)reply with exactly one word\b[^:]*: ?(\w+)",
        r"(?i)reply with the single word (\w+)",
        r"(?i)reply with exactly these words: ?(.+)",
    ];
    let patterns = asked.iter().filter_map(|pattern| regex::Regex::new(pattern).ok());
    let mut found = patterns.filter_map(|pattern| Some(pattern.captures(prompt)?[1].to_owned()));
    found
        .next()
        .or_else(|| reading.seen_in_prompt())
        .or_else(|| is_question("first word").then(|| reading.told(r"first word is (\w+)"))?)
        .or_else(|| {
            let asks = is_question("which word did i ask") || is_question("once more");
            asks.then(|| reading.told(r"(?i)remember the word (\w+)"))?
        })
}

/// The result of the two whole numbers of a question such as `What is 17 times 23?`.
fn arithmetic(prompt: &str) -> Option<String> {
    static SUM: LazyLock<Regex> = LazyLock::new(|| {
        let operators = r"\+|-|\*|/|[−×÷]|x|plus|minus|times|multiplied by|divided by";
        let asks = r"\b(?:what(?: is|'s)|how much is|calculate|compute)\s+(?:the \w+ of\s+)?";
        let number = r"(-?\d{1,9})";
        // Neither a date nor a longer sum.
        let end = r"\s*(?:[?!=,]|\.(?:\s|$)|$)";
        Regex::new(&format!(
            r"(?i)(?:{asks}|^){number}\s*({operators})\s*{number}{end}"
        ))
        .expect("a constant expression")
    });
    let found = SUM.captures(prompt)?;
    let number = |index: usize| found[index].parse::<i64>().ok();
    let (one, other) = (number(1)?, number(3)?);
    Some(match found[2].to_lowercase().as_str() {
        "+" | "plus" => (one + other).to_string(),
        "-" | "−" | "minus" => (one - other).to_string(),
        "/" | "÷" | "divided by" if other == 0 => "undefined".to_owned(),
        "/" | "÷" | "divided by" if one % other == 0 => (one / other).to_string(),
        "/" | "÷" | "divided by" => format!("{:.2}", one as f64 / other as f64),
        _ => (one * other).to_string(),
    })
}

/// A word as models write it: they follow a form that was asked for mostly, and not always.
fn styled(word: &str, dice: &mut Dice) -> String {
    let mut letters = word.chars();
    let capital: String = letters
        .next()
        .into_iter()
        .flat_map(char::to_uppercase)
        .chain(letters)
        .collect();
    match dice.between(0, 7) {
        0 => format!("{capital}."),
        1 => capital,
        2 => format!("**{word}**"),
        3 => format!("{word}."),
        4 => format!("{capital}!"),
        _ => word.to_owned(),
    }
}

/// A sentence about the results of the tools.
fn about(facts: &[String], prompt: &str, dice: &mut Dice) -> String {
    let lower = prompt.to_lowercase();
    if lower.contains("output alone") {
        let output = facts.last().map_or("", String::as_str);
        return match dice.once_in(3) {
            true => format!("`{output}`"),
            false => output.to_owned(),
        };
    }
    // Who is asked whether something holds may say only that.
    let is_yes_or_no = lower.contains("whether") && !lower.contains("quote") && !lower.contains("name");
    if is_yes_or_no && dice.once_in(2) {
        return dice
            .pick(&["Yes, it does.", "Yes, the two agree.", "They do."])
            .to_owned();
    }
    let mark = dice.pick(&["", "`", "\"", "**"]);
    let quoted: Vec<String> = facts.iter().map(|fact| format!("{mark}{fact}{mark}")).collect();
    let listed = quoted.join(" and ");
    let sentence = match dice.between(0, 3) {
        0 => format!("It says {listed}."),
        1 => format!("The result is: {listed}"),
        2 => format!("Done. I got {listed}."),
        _ => format!("{listed}, as you asked."),
    };
    match dice.once_in(4) {
        true => format!("{sentence} Let me know if you need anything else."),
        false => sentence,
    }
}

fn essay(begin: &str, dice: &mut Dice) -> String {
    let sentences = [
        "Rain sinks into the ground and comes out again lower down.",
        "The thread of water cuts a channel, and other threads join it.",
        "Where the slope is steep, the river runs fast and carries stones.",
        "Below the hills it slows down and winds from side to side.",
        "In a flood it moves more in one day than in the rest of the year.",
        "People build bridges and give every reach a name of its own.",
        "It drops its mud where the land is flat.",
    ];
    let mut text = format!("{begin} at a spring, a melting snowfield or a wet hillside.");
    for _ in 0..11 {
        text.push(' ');
        text.push_str(dice.pick(&sentences));
    }
    text.push_str(dice.pick(&[
        " At last it meets the sea.",
        " Finally, the river reaches the sea!",
    ]));
    text
}

#[cfg(test)]
mod tests;
