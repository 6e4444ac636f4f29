//! Helpers for kinds that are judged on the exchanges between Claude Code and the gateway.

use super::provider_side::Turn;
use super::{Deviation, Ruling, Scene};
use crate::evidence::file;
use crate::wire::exchange::GatewayExchange;
use crate::wire_diff;

/// An exchange, as the place of evidence.
pub(super) fn place(sent: &GatewayExchange) -> (String, usize) {
    (file::GATEWAY_EXCHANGES.into(), sent.number)
}

/// Judges each Messages request of Claude Code that `turn` selects. If there is none, that is the deviation.
pub(super) fn on_each_sent(
    turn: Turn,
    scene: &Scene<'_>,
    judge_one: impl Fn(&GatewayExchange) -> Vec<Deviation>,
) -> Ruling {
    let (sent, exchanges) = (&scene.evidence.sent, &scene.evidence.exchanges);
    let is_sent_again = |passage: &GatewayExchange| {
        let is_error = passage.reply.as_ref().is_some_and(|reply| reply.status >= 400);
        let forwarded = || wire_diff::forwarded(passage, sent, exchanges);
        is_error
            && forwarded()
                .last()
                .is_some_and(|last| last.is_sent_again(exchanges))
    };
    let own = sent.iter().filter(|sent| sent.turn.is_some());
    let all: Vec<&GatewayExchange> = own.filter(|sent| !is_sent_again(sent)).collect();
    let named: &[&GatewayExchange] = match turn {
        Turn::Every => &all,
        Turn::Last => &all[all.len().saturating_sub(1)..],
        Turn::Number(number) => all.get(number - 1..number).unwrap_or(&[]),
    };
    if named.is_empty() {
        return Ruling::Judged(vec![Deviation {
            summary: "Claude Code did not send this request".into(),
            expected: match turn {
                Turn::Number(number) => format!("at least {number} Messages requests"),
                Turn::Every | Turn::Last => "a Messages request".into(),
            },
            actual: all.len().to_string(),
            evidence: None,
        }]);
    }
    Ruling::Judged(named.iter().flat_map(|sent| judge_one(sent)).collect())
}
