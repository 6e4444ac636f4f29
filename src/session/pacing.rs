//! Paces the requests of a live run: within the limits of each provider and model, and slower while a provider is overloaded.
//!
//! A limit is spread evenly, because a provider may enforce 60 requests a minute as one a second
//! (<https://platform.claude.com/docs/en/api/rate-limits>). The number of requests at once grows by one for each round of good
//! replies, and is halved by a 429, 503 or 529. `retry-after` stops the lane for that time, up to [`LONGEST_BLOCK`]. Both also hold
//! for the other runs of this machine that use the same gateway.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::BoxFuture;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

use crate::cells::limits::{Limit, Limits};
use crate::clock::WaitClock;
use crate::ids::{ProviderId, TierId};
use crate::progress::ProgressSink;
use crate::relay::{RequestHold, RequestPermit};
use crate::session::slowdowns::{SharedSlowdown, Slowdown, Slowdowns, now_ms};
use crate::wire::error_reply::SLOW_DOWN;

/// The requests of a lane that may be under way at first, and at most. The parts of a run share them.
const AT_FIRST: f64 = 4.0;
const AT_MOST: f64 = 32.0;

/// The longest time for which `retry-after` stops a lane. Claude Code's own waits may be as long. Its requests time out after ten
/// minutes, so the relay must not hold one for that long. After a longer time the lane is [closed](Pacing::is_closed): its trials end
/// with the cause `rate_limit`, after one attempt.
pub const LONGEST_BLOCK: Duration = Duration::from_secs(8 * 60);

/// Times in whole milliseconds are at most this much too late. A cut that came before a request must never seem to come after it.
const ROUNDING_MS: u64 = 3;

/// The time of which a limit names the requests and tokens.
const MINUTE: Duration = Duration::from_secs(60);

/// A reader who sees no progress for this time wonders why.
const LONG_WAIT: Duration = Duration::from_secs(10);
/// The time between two lines about the same lane.
const BETWEEN_LINES: Duration = Duration::from_secs(60);

/// A token has about four bytes of English text (<https://platform.claude.com/docs/en/about-claude/glossary>).
const BYTES_OF_A_TOKEN: usize = 4;

/// The lanes of a run: one for each provider and tier.
pub struct Pacing {
    limits: Limits,
    /// The parts of a run on one account: each takes its share of a limit.
    shares: u32,
    /// What the runs of this machine tell each other.
    slowdowns: Slowdowns,
    lanes: Mutex<HashMap<(ProviderId, TierId), Arc<Lane>>>,
    /// Gets a line when a request waits long.
    speaker: OnceLock<Arc<dyn ProgressSink>>,
}

struct Lane {
    requests: Option<DefaultDirectRateLimiter>,
    tokens: Option<(DefaultDirectRateLimiter, NonZeroU32)>,
    window: Mutex<Window>,
    changed: Notify,
    since: Instant,
    shared: SharedSlowdown,
}

struct Window {
    allowed: f64,
    at_most: f64,
    under_way: usize,
    /// Until when a provider asked to wait.
    blocked_until: Option<Instant>,
    /// Whether its last answer asked to wait for longer than a run waits.
    is_closed: bool,
    cut_at: Option<Instant>,
    slowed: usize,
    waited: Duration,
    spoke_at: Option<Instant>,
}

impl Window {
    /// Halves the number of requests. A request that was sent before the last cut says nothing about the new number.
    fn cut(&mut self, sent_at: Instant, now: Instant) {
        if self.cut_at.is_none_or(|cut_at| cut_at <= sent_at) {
            self.allowed = (self.allowed / 2.0).max(1.0);
            self.cut_at = Some(now);
        }
    }
}

impl Pacing {
    /// `shares` is the number of parts that run at the same time (`--shard K/N`).
    pub fn new(limits: Limits, shares: usize, slowdowns: Slowdowns) -> Self {
        Self {
            limits,
            slowdowns,
            shares: u32::try_from(shares.max(1)).unwrap_or(u32::MAX),
            lanes: Mutex::default(),
            speaker: OnceLock::new(),
        }
    }

    /// From now on `progress` gets a line when a request waits long.
    pub fn report_waits(&self, progress: &Arc<dyn ProgressSink>) {
        // A second one would say the same.
        let _ = self.speaker.set(Arc::clone(progress));
    }

    /// Delays the requests of a trial; `clock` counts the time.
    pub fn hold(&self, provider: &ProviderId, tier: &TierId, clock: &Arc<WaitClock>) -> RequestHold {
        let (lane, clock) = (self.lane(provider, tier), Arc::clone(clock));
        let speaker = self.speaker.get().cloned();
        let name = format!("{provider} on {tier}");
        Arc::new(move |bytes| -> BoxFuture<'static, Box<dyn RequestPermit>> {
            let (lane, clock) = (Arc::clone(&lane), Arc::clone(&clock));
            let (speaker, name) = (speaker.clone(), name.clone());
            Box::pin(async move {
                let waiting = clock.wait();
                let mut entering = Box::pin(lane.enter(bytes));
                let permit = match timeout(LONG_WAIT, &mut entering).await {
                    Ok(permit) => permit,
                    Err(_) => {
                        if let Some(speaker) = speaker.filter(|_| lane.may_speak()) {
                            let why = lane.why_it_waits();
                            speaker.note(&format!(
                                "pacing: a request to {name} waits for more than 10 s: {why}"
                            ));
                        }
                        entering.await
                    }
                };
                drop(waiting);
                Box::new(permit) as Box<dyn RequestPermit>
            })
        })
    }

    /// Whether the provider asked the requests of a lane to wait for longer than a run waits.
    pub fn is_closed(&self, provider: &ProviderId, tier: &TierId) -> bool {
        self.lane(provider, tier).window.lock().is_closed
    }

    fn lane(&self, provider: &ProviderId, tier: &TierId) -> Arc<Lane> {
        let mut lanes = self.lanes.lock();
        let key = (provider.clone(), tier.clone());
        let lane = || {
            let shared = self.slowdowns.of_lane(&format!("{provider}/{tier}"));
            Arc::new(Lane::new(self.limits.of(provider, tier), self.shares, shared))
        };
        Arc::clone(lanes.entry(key).or_insert_with(lane))
    }

    /// A line for each lane that had to wait.
    pub fn reports(&self) -> Vec<String> {
        let lanes = self.lanes.lock();
        let mut lines: Vec<String> = lanes
            .iter()
            .filter_map(|((provider, tier), lane)| {
                let window = lane.window.lock();
                let waited = window.waited.as_secs();
                let (slowed, allowed) = (window.slowed, window.allowed);
                (waited > 0 || slowed > 0).then(|| {
                    format!(
                        "pacing: requests to {provider} on {tier} waited {waited} s in all; {slowed} replies asked for less, and \
                         at the end {allowed:.0} requests might be under way"
                    )
                })
            })
            .collect();
        lines.sort();
        // The same for each lane.
        let error = lanes.values().find_map(|lane| lane.shared.error());
        let unheard =
            |error| format!("pacing: other runs of this machine do not slow down with this one: {error}");
        lines.extend(error.map(unheard));
        lines
    }
}

/// A part's share of a limit. Its period is that of the limit, once for each part, so the shares add up to the limit.
fn share_of(per_minute: NonZeroU32, parts: u32, burst: NonZeroU32) -> Quota {
    let period = MINUTE * parts / per_minute.get();
    // A period is at least 13 ns.
    let quota = Quota::with_period(period).unwrap_or(Quota::per_minute(per_minute));
    quota.allow_burst(burst)
}

impl Lane {
    fn new(limit: Limit, shares: u32, shared: SharedSlowdown) -> Self {
        let requests = limit.requests_per_minute;
        let share = |all: f64| (all / f64::from(shares)).max(1.0);
        Self {
            requests: requests.map(|limit| RateLimiter::direct(share_of(limit, shares, NonZeroU32::MIN))),
            tokens: limit.tokens_per_minute.map(|limit| {
                // A single request may need the tokens of a minute.
                let most = NonZeroU32::new(limit.get() / shares).unwrap_or(NonZeroU32::MIN);
                (RateLimiter::direct(share_of(limit, shares, most)), most)
            }),
            window: Mutex::new(Window {
                allowed: share(AT_FIRST),
                at_most: share(AT_MOST),
                under_way: 0,
                blocked_until: None,
                is_closed: false,
                cut_at: None,
                slowed: 0,
                waited: Duration::ZERO,
                spoke_at: None,
            }),
            changed: Notify::new(),
            since: Instant::now(),
            shared,
        }
    }

    /// Slows down for what a provider asked another run.
    fn learn(&self) {
        let Some(told) = self.shared.read() else {
            return;
        };
        let (now, now_ms) = (Instant::now(), now_ms());
        // A time to come is that of a clock that was ahead.
        let Some(age) = now_ms.checked_sub(told.sent_at_ms) else {
            return;
        };
        let mut window = self.window.lock();
        let sent_at = now.checked_sub(Duration::from_millis(age));
        if let Some(sent_at) = sent_at.filter(|sent_at| *sent_at >= self.since) {
            window.cut(sent_at, now);
        }
        let wait = Duration::from_millis(told.blocked_until_ms.saturating_sub(now_ms));
        if !wait.is_zero() && wait <= LONGEST_BLOCK {
            window.blocked_until = window.blocked_until.max(Some(now + wait));
        }
    }

    /// Whether a line about this lane is due.
    fn may_speak(&self) -> bool {
        let mut window = self.window.lock();
        let now = Instant::now();
        let is_due = (window.spoke_at).is_none_or(|spoke_at| now >= spoke_at + BETWEEN_LINES);
        if is_due {
            window.spoke_at = Some(now);
        }
        is_due
    }

    fn why_it_waits(&self) -> String {
        let window = self.window.lock();
        let now = Instant::now();
        if let Some(until) = window.blocked_until.filter(|until| *until > now) {
            let seconds = (until - now).as_secs_f64();
            return format!("the provider asked to send nothing for {seconds:.0} s more");
        }
        let limits = [
            self.requests.is_some().then_some("requests"),
            self.tokens.is_some().then_some("tokens"),
        ];
        let limits: Vec<&str> = limits.into_iter().flatten().collect();
        match limits.is_empty() {
            true => format!("{:.0} requests may be under way", window.allowed),
            false => format!(
                "the limit of {} a minute (`limits`, `--limit`)",
                limits.join(" and ")
            ),
        }
    }

    fn blocked_until(&self) -> Option<Instant> {
        let window = self.window.lock();
        window.blocked_until.filter(|until| *until > Instant::now())
    }

    /// Waits until a request of `bytes` may be sent.
    async fn enter(self: &Arc<Self>, bytes: usize) -> LanePermit {
        let begun = Instant::now();
        let mut permit = loop {
            let changed = self.changed.notified();
            self.learn();
            let blocked_until = {
                let mut window = self.window.lock();
                let now = Instant::now();
                let blocked_until = window.blocked_until.filter(|until| *until > now);
                if blocked_until.is_none() && window.under_way < window.allowed as usize {
                    window.under_way += 1;
                    break LanePermit {
                        lane: Arc::clone(self),
                        sent_at: now,
                    };
                }
                blocked_until
            };
            match blocked_until {
                Some(until) => sleep_until(until).await,
                None => changed.await,
            }
        };
        if let Some((tokens, most)) = &self.tokens {
            let wanted = u32::try_from(bytes / BYTES_OF_A_TOKEN).unwrap_or(u32::MAX);
            let wanted = NonZeroU32::new(wanted).unwrap_or(NonZeroU32::MIN).min(*most);
            // It fails only for more than `most`.
            let _ = tokens.until_n_ready(wanted).await;
        }
        // While this request waits for the limit, the provider may ask to send nothing. It then waits for the limit again, so
        // that the requests of a queue do not leave at the same time.
        loop {
            if let Some(requests) = &self.requests {
                requests.until_ready().await;
            }
            self.learn();
            match self.blocked_until() {
                Some(until) => sleep_until(until).await,
                None => break,
            }
        }
        permit.sent_at = Instant::now();
        self.window.lock().waited += begun.elapsed();
        permit
    }
}

struct LanePermit {
    lane: Arc<Lane>,
    sent_at: Instant,
}

impl RequestPermit for LanePermit {
    fn replied(&mut self, status: u16, retry_after: Option<Duration>) {
        let mut window = self.lane.window.lock();
        let now = Instant::now();
        if SLOW_DOWN.contains(&status) {
            window.slowed += 1;
            window.cut(self.sent_at, now);
            let wait = retry_after.filter(|wait| *wait <= LONGEST_BLOCK);
            window.is_closed = wait != retry_after;
            if let Some(wait) = wait {
                window.blocked_until = window.blocked_until.max(Some(now + wait));
            }
            let now_ms = now_ms();
            let ms = |time: Duration| time.as_millis() as u64;
            self.lane.shared.tell(Slowdown {
                sent_at_ms: now_ms.saturating_sub(ms(now - self.sent_at) + ROUNDING_MS),
                blocked_until_ms: wait.map_or(0, |wait| now_ms + ms(wait)),
            });
        } else if status < 400 {
            window.is_closed = false;
            window.allowed = (window.allowed + 1.0 / window.allowed).min(window.at_most);
        }
        drop(window);
        self.lane.changed.notify_waiters();
    }
}

impl Drop for LanePermit {
    fn drop(&mut self) {
        self.lane.window.lock().under_way -= 1;
        self.lane.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use futures_util::future::join_all;

    use super::*;

    /// A folder that cannot be made.
    fn alone() -> Slowdowns {
        Slowdowns::at(Path::new("/dev/null"), "http://gateway")
    }

    fn lane(limits: &[&str]) -> Arc<Lane> {
        let limits = limits.iter().map(|text| text.parse().unwrap()).collect();
        let pacing = Pacing::new(Limits(limits), 1, alone());
        pacing.lane(&ProviderId::new("anthropic"), &TierId::new("haiku"))
    }

    #[tokio::test]
    async fn requests_keep_the_distance_of_their_limit() {
        let lane = lane(&["any=10", "anthropic=600"]);
        let begun = std::time::Instant::now();
        for _ in 0..4 {
            lane.enter(10).await.replied(200, None);
        }
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(295), "{took:?}");
        assert!(lane.window.lock().waited >= Duration::from_millis(290));
    }

    #[tokio::test]
    async fn tokens_are_limited_too_and_a_request_over_the_limit_passes() {
        let lane = lane(&["anthropic/haiku=60000/6000"]);
        let begun = std::time::Instant::now();
        lane.enter(1 << 20).await.replied(200, None);
        // 20 tokens of 6000 a minute.
        lane.enter(80).await.replied(200, None);
        assert!(begun.elapsed() >= Duration::from_millis(195));
    }

    #[tokio::test]
    async fn requests_in_the_queue_of_a_limit_honour_retry_after() {
        for limit in ["any=600", "any=60000/6000"] {
            let lane = lane(&[limit]);
            // It takes the tokens of a minute, where there is a limit of tokens.
            let mut first = lane.enter(1 << 20).await;
            let begun = std::time::Instant::now();
            let queued = join_all((0..2).map(|_| async {
                lane.enter(40).await;
                begun.elapsed()
            }));
            let reply = async { first.replied(429, Some(Duration::from_millis(400))) };
            let (sent, ()) = tokio::join!(queued, reply);
            let all_waited = sent.iter().all(|at| *at >= Duration::from_millis(395));
            assert!(all_waited, "{limit}: {sent:?}");
            if limit == "any=600" {
                let apart = sent[0].abs_diff(sent[1]);
                assert!(apart >= Duration::from_millis(90), "{sent:?}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_overloaded_provider_gets_half_and_then_one_more_at_a_time() {
        let pacing = Pacing::new(Limits::default(), 1, alone());
        let (provider, tier) = (ProviderId::new("anthropic"), TierId::new("haiku"));
        let lane = pacing.lane(&provider, &tier);
        let mut permits = join_all((0..4).map(|_| lane.enter(1))).await;
        let late = tokio::spawn({
            let lane = Arc::clone(&lane);
            async move { lane.enter(1).await }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!late.is_finished(), "four requests are under way");
        for permit in &mut permits {
            permit.replied(529, None);
        }
        assert!(
            (lane.window.lock().allowed - 2.0).abs() < 0.01,
            "one cut for one burst"
        );
        drop(permits);
        let mut late = late.await.unwrap();
        late.replied(429, Some(Duration::from_secs(30)));
        drop(late);
        let begun = Instant::now();
        lane.enter(1).await.replied(200, None);
        assert_eq!(begun.elapsed().as_secs(), 30, "`retry-after` is honoured");
        for day in [Duration::from_secs(86_400), Duration::MAX] {
            let before = Instant::now();
            lane.enter(1).await.replied(429, Some(day));
            assert!(pacing.is_closed(&provider, &tier));
            lane.enter(1).await.replied(200, None);
            assert!(!pacing.is_closed(&provider, &tier));
            assert_eq!(before.elapsed().as_secs(), 0, "a day is too long to wait");
        }
        for _ in 0..6 {
            lane.enter(1).await.replied(200, None);
        }
        let allowed = lane.window.lock().allowed;
        assert!((3.5..4.5).contains(&allowed), "{allowed}");
    }

    #[tokio::test]
    async fn the_runs_of_a_machine_slow_down_together() {
        let cache = tempfile::tempdir().unwrap();
        let lane = |gateway: &str, tier: &str| {
            let pacing = Pacing::new(Limits::default(), 1, Slowdowns::at(cache.path(), gateway));
            pacing.lane(&ProviderId::new("anthropic"), &TierId::new(tier))
        };
        let allowed = |lane: &Lane| lane.window.lock().allowed;
        let (first, second) = (lane("http://a", "haiku"), lane("http://a", "haiku"));
        let others = [lane("http://a", "opus"), lane("http://b", "haiku")];
        tokio::time::sleep(Duration::from_millis(20)).await;
        let mut sent = join_all((0..2).map(|_| first.enter(1))).await;
        let begun = Instant::now();
        for permit in &mut sent {
            permit.replied(429, Some(Duration::from_secs(2)));
        }
        for lane in others {
            lane.enter(1).await;
            assert!(allowed(&lane) > 3.9 && begun.elapsed() < Duration::from_millis(1_950));
        }
        for _ in 0..2 {
            second.enter(1).await;
        }
        assert!(
            begun.elapsed() >= Duration::from_millis(1_950),
            "{:?}",
            begun.elapsed()
        );
        first.learn();
        let both = [allowed(&first), allowed(&second)];
        assert!(
            both.iter().all(|allowed| (1.9..2.1).contains(allowed)),
            "{both:?}"
        );
        let late = lane("http://a", "haiku");
        late.enter(1).await;
        assert!(allowed(&late) > 3.9, "what was before a run does not halve it");
        let to_come = Slowdown {
            sent_at_ms: now_ms() + 60_000,
            blocked_until_ms: now_ms() + 90_000,
        };
        let ahead = lane("http://c", "haiku");
        ahead.shared.tell(to_come);
        let begun = Instant::now();
        ahead.enter(1).await;
        assert!(allowed(&ahead) > 3.9 && begun.elapsed() < Duration::from_secs(30));
        ahead.enter(1).await.replied(529, None);
        let told = ahead.shared.read().unwrap();
        assert!(told.sent_at_ms <= now_ms(), "a time to come is forgotten");
        let unheard = Pacing::new(Limits::default(), 1, alone());
        let lane = unheard.lane(&ProviderId::new("azure"), &TierId::new("opus"));
        lane.enter(1).await.replied(529, None);
        let reports = unheard.reports();
        assert!(reports[1].contains("/dev/null"), "{reports:?}");
    }

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl ProgressSink for Heard {
        fn note(&self, line: &str) {
            self.0.lock().push(line.to_owned());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_wait_is_said_once_a_minute() {
        let heard = Arc::new(Heard::default());
        let pacing = Pacing::new(Limits::default(), 1, alone());
        pacing.report_waits(&(Arc::clone(&heard) as Arc<dyn ProgressSink>));
        let (provider, tier) = (ProviderId::new("azure"), TierId::new("opus"));
        let hold = pacing.hold(&provider, &tier, &Arc::default());
        hold(1).await.replied(200, None);
        assert!(heard.0.lock().is_empty());
        hold(1).await.replied(429, Some(Duration::from_secs(45)));
        drop(join_all([hold(1), hold(1)]).await);
        let lines = heard.0.lock().clone();
        assert_eq!(
            lines,
            [
                "pacing: a request to azure on opus waits for more than 10 s: the provider asked to send nothing for 35 s more"
            ]
        );
    }

    #[test]
    fn the_shares_of_the_parts_add_up_to_the_limit() {
        for (limit, parts, seconds) in [(60, 1, 1.0), (30, 8, 16.0), (50, 26, 31.2), (10, 40, 240.0)] {
            let share = share_of(NonZeroU32::new(limit).unwrap(), parts, NonZeroU32::MIN);
            assert_eq!(
                share.replenish_interval().as_secs_f64(),
                seconds,
                "{limit} in {parts}"
            );
        }
        let most = share_of(NonZeroU32::MAX, 1, NonZeroU32::MAX);
        assert_eq!(most.replenish_interval(), Duration::from_nanos(13));
    }

    #[tokio::test]
    async fn the_parts_of_a_run_share_the_requests_under_way() {
        for (parts, at_first, at_most) in [(1, 4.0, 32.0), (2, 2.0, 16.0), (40, 1.0, 1.0)] {
            let pacing = Pacing::new(Limits::default(), parts, alone());
            let lane = pacing.lane(&ProviderId::new("anthropic"), &TierId::new("haiku"));
            let allowed = || lane.window.lock().allowed;
            assert_eq!(allowed(), at_first);
            for _ in 0..600 {
                lane.enter(1).await.replied(200, None);
            }
            assert_eq!(allowed(), at_most);
        }
    }
}
