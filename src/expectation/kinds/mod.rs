//! The kinds of expectation. Each has a file of its own and a line in the table below, which also declares the module.

use std::fmt;

use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::context::Checker;
use super::{Deviation, Interest, Ruling, Scene, provider_side, trace};
use crate::document::KeyPath;
use crate::findings::Level;

/// What a kind of expectation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JudgedSide {
    /// What Claude Code, or the harness in its place, received from the gateway.
    Client,
    /// The requests at the provider. A live run cannot judge these.
    Provider,
}

/// A kind of expectation.
pub trait Kind: Clone + fmt::Debug + PartialEq {
    /// The YAML value of its key. Its doc comment is the key's description in the schema and the reference.
    type Form: DeserializeOwned + JsonSchema;

    const SIDE: JudgedSide;

    /// What the user of Claude Code loses when it does not hold, in one sentence.
    const LOSES: &str;

    /// The checked kind, from the form that stands at `path`. Reports every way in which it could never fail, never hold,
    /// or never be judged.
    fn resolve(form: &Self::Form, checker: &mut Checker<'_>, path: &KeyPath) -> Option<Self>;

    /// Judges the evidence. A provider-side kind is only asked about a simulated run.
    fn judge(&self, scene: &Scene<'_>) -> Ruling;

    /// The changes on the wire that can explain why it does not hold. [`Kind::held_before`] is about the first ones.
    fn interests(&self) -> Vec<Interest>;

    /// Who notices when it is broken.
    fn level(&self) -> Level {
        Level::Feature
    }

    /// What the user of Claude Code loses by `deviation`, in one sentence.
    fn loses(&self, _deviation: &Deviation) -> &'static str {
        Self::LOSES
    }

    /// Whether it holds on the near side of the gateway; `None` where that cannot be judged.
    fn held_before(&self, scene: &Scene<'_>) -> Option<bool> {
        match Self::SIDE {
            JudgedSide::Client => None,
            JudgedSide::Provider => trace::held_as_sent(self, scene),
        }
    }
}

macro_rules! kinds {
    ($($key:ident: $variant:ident($kind:ident)),+ $(,)?) => {
        $(pub mod $key;
        pub use $key::$kind;)+

        /// What must hold.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Check {
            $($variant($kind),)+
        }

        /// One thing that must hold: exactly one kind (`text`, `tool_call`, `request`, …), and if needed `tiers`, `clause` and `level`.
        #[derive(Debug, Default, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        #[schemars(transform = exactly_one_kind)]
        pub struct ExpectationForm {
            /// The tiers it is for, or sets of tiers; all of them if not given.
            #[schemars(length(min = 1), extend("examples" = [["haiku"]]))]
            pub tiers: Option<Vec<String>>,
            /// The clause of the gateway contract that it rests on.
            #[schemars(extend("examples" = ["llm-gateway-protocol#request-headers"]))]
            pub clause: Option<String>,
            /// Who notices when it is broken: a person who uses Claude Code (`feature`), or the contract alone (`contract`).
            /// `unchanged`, `beta` and a `request` that checks only headers, route and version have `contract` if not given.
            pub level: Option<Level>,
            /// Whether it is about what Claude Code sends to a gateway only. It is then not judged without a gateway
            /// (`--gateway none`), where Claude Code speaks the provider's own protocol.
            pub needs_gateway: bool,
            $(pub $key: Option<<$kind as Kind>::Form>,)+
        }

        /// The keys of the kinds, in the order of the reference.
        pub const KINDS: &[&str] = &[$(stringify!($key)),+];

        $(impl From<$kind> for Check {
            fn from(kind: $kind) -> Self {
                Self::$variant(kind)
            }
        })+

        impl Check {
            /// The kind that `form` gives.
            pub(super) fn resolve(form: &ExpectationForm, checker: &mut Checker<'_>, path: &KeyPath) -> Option<Self> {
                $(if let Some(form) = &form.$key {
                    return $kind::resolve(form, checker, &path.then(stringify!($key))).map(Self::$variant);
                })+
                None
            }

            pub fn side(&self) -> JudgedSide {
                match self {
                    $(Self::$variant(_) => $kind::SIDE,)+
                }
            }

            pub fn judge(&self, scene: &Scene<'_>) -> Ruling {
                match self {
                    $(Self::$variant(kind) => kind.judge(scene),)+
                }
            }

            pub fn level(&self) -> Level {
                match self {
                    $(Self::$variant(kind) => kind.level(),)+
                }
            }

            /// What the user of Claude Code loses by `deviation`, in one sentence.
            pub fn loses(&self, deviation: &Deviation) -> &'static str {
                match self {
                    _ if provider_side::is_of_lost_request(deviation) => provider_side::LOST_REQUEST,
                    $(Self::$variant(kind) => kind.loses(deviation),)+
                }
            }

            pub fn interests(&self) -> Vec<Interest> {
                match self {
                    $(Self::$variant(kind) => kind.interests(),)+
                }
            }

            pub fn held_before(&self, scene: &Scene<'_>) -> Option<bool> {
                match self {
                    $(Self::$variant(kind) => kind.held_before(scene),)+
                }
            }
        }
    };
}

mod files;

kinds! {
    text: Text(TextCheck),
    tool_call: ToolCall(ToolCallCheck),
    tool_result: ToolResult(ToolResultCheck),
    thinking: Thinking(ThinkingCheck),
    stream: Stream(StreamCheck),
    usage: Usage(UsageCheck),
    stop_reason: StopReason(StopReasonCheck),
    exit: Exit(ExitCheck),
    event: Event(EventCheck),
    direct_reply: DirectReply(DirectReplyCheck),
    token_count: TokenCount(TokenCountCheck),
    reply_head: ReplyHead(ReplyHeadCheck),
    gateway_request: GatewayRequest(GatewayRequestCheck),
    requests: Requests(RequestsCheck),
    attempts: Attempts(AttemptsCheck),
    request: Request(RequestCheck),
    beta: Beta(BetaCheck),
    image_arrived: ImageArrived(ImageArrivedCheck),
    document_arrived: DocumentArrived(DocumentArrivedCheck),
    tool_result_arrived: ToolResultArrived(ToolResultArrivedCheck),
    thinking_arrived: ThinkingArrived(ThinkingArrivedCheck),
    cache: Cache(CacheCheck),
    prefix_stable: PrefixStable(PrefixStableCheck),
    unchanged: Unchanged(UnchangedCheck),
    todo: Todo(TodoCheck),
}

impl Check {
    /// Whether a finding of it is a change on the wire, and not the broken expectation.
    pub fn shows_changes(&self) -> bool {
        matches!(self, Self::Beta(_) | Self::Unchanged(_))
    }

    /// Whether a live run cannot judge it.
    pub fn is_provider_side(&self) -> bool {
        self.side() == JudgedSide::Provider
    }
}

fn exactly_one_kind(schema: &mut Schema) {
    let required: Vec<Value> = KINDS.iter().map(|kind| json!({ "required": [kind] })).collect();
    schema.insert("oneOf".to_owned(), required.into());
}
