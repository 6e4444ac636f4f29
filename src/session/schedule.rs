//! Decides when a `claude` may compute: as many at once as there are cores. Any number may wait for a provider.
//!
//! Starting a `claude` takes about half a second of processor time, and so does processing a reply. More of that at once
//! than the machine has cores slows everything down. Waiting for a provider costs nothing. A trial needs a slot to start,
//! and another one for each reply, where its delivery can be delayed. This module knows no process and no request.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};

/// A faster reply leaves no time to start another trial: 250 ms is gateway work. The last reply predicts the next one. Until
/// a first reply is measured, we assume that the provider is slow. Only after a fast reply does a trial keep its slot for
/// this long.
const FAST_REPLY: Duration = Duration::from_millis(250);

/// When a provider replies at once, a slow reply means that the gateway is overloaded, and more trials would slow it down
/// further. A trial then releases its slot only after this time, when it seems to be stuck.
const STUCK_AFTER: Duration = Duration::from_secs(5);

/// The work that remains when `claude` announces a request: it builds and sends it (50 ms of processor time, measured with
/// 2.1.327). A trial that starts in this time slows both down.
const SENDING: Duration = Duration::from_millis(50);

/// The longest delay of a reply. It must be shorter than every other timeout; the shortest is that of a provider in
/// lockstep ([`LOCKSTEP_PATIENCE_MS`](crate::wire::script::LOCKSTEP_PATIENCE_MS)).
const MAX_HOLD: Duration = Duration::from_secs(2);

/// The slots of the trials that compute.
#[derive(Debug)]
pub struct Schedule {
    slots: Arc<Semaphore>,
    pace: ProviderPace,
    replies_are_slow: AtomicBool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderPace {
    /// It replies at once: the time until a reply is work on this machine.
    Immediate,
    /// It may think before it replies.
    Thinking,
}

/// The trials that have not started, in order. Only the first one waits for a slot, so a waiting reply queues behind at most
/// one new trial.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    waiting: watch::Sender<BTreeSet<Rank>>,
    issued: Arc<AtomicUsize>,
}

/// The lowest rank is first; ties go to the earlier ticket.
type Rank = (usize, usize);

/// A trial's position in the queue, until it gets a slot or the ticket is dropped.
#[derive(Debug)]
pub struct Ticket {
    queue: Queue,
    rank: Rank,
}

impl Queue {
    /// Joins the queue behind all tickets of a lower `rank`. Tickets of a higher rank wait, even while this one's trial is
    /// not ready to start.
    pub fn join(&self, rank: usize) -> Ticket {
        let ticket = Ticket {
            queue: self.clone(),
            rank: (rank, self.issued.fetch_add(1, Ordering::Relaxed)),
        };
        ticket.enter();
        ticket
    }
}

impl Ticket {
    fn enter(&self) {
        self.change(|waiting| waiting.insert(self.rank));
    }

    /// Lets the trials behind go first, until this one asks for a slot.
    pub fn leave(&self) {
        self.change(|waiting| waiting.remove(&self.rank));
    }

    /// Wakes the other tickets only if the first one is another now.
    fn change(&self, change: impl FnOnce(&mut BTreeSet<Rank>) -> bool) {
        self.queue.waiting.send_if_modified(|waiting| {
            let first = waiting.first().copied();
            change(waiting) && waiting.first() != first.as_ref()
        });
    }

    /// Waits for a permit while this ticket is the first.
    async fn permit(&self, schedule: &Schedule) -> Option<OwnedSemaphorePermit> {
        self.enter();
        let is_first = |waiting: &BTreeSet<Rank>| waiting.first() == Some(&self.rank);
        let mut waiting = self.queue.waiting.subscribe();
        let permit = loop {
            // Neither wait can fail: the ticket keeps the queue's sender alive.
            let _ = waiting.wait_for(is_first).await;
            tokio::select! {
                biased;
                _ = waiting.wait_for(|waiting| !is_first(waiting)) => {}
                permit = schedule.permit() => break permit,
            }
        };
        self.leave();
        permit
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Schedule {
    /// At most `limit` trials compute at once.
    pub fn new(limit: usize, pace: ProviderPace) -> Arc<Self> {
        Arc::new(Self {
            slots: Arc::new(Semaphore::new(limit)),
            pace,
            replies_are_slow: AtomicBool::new(true),
        })
    }

    /// Waits until the trial with `ticket` is the first in its queue and a slot is free.
    pub async fn acquire(self: &Arc<Self>, ticket: &Ticket) -> Slot {
        let permit = ticket.permit(self).await;
        Slot(Arc::new(Mutex::new(State {
            schedule: Arc::clone(self),
            permit,
            requested: None,
        })))
    }

    /// How long a trial keeps its slot while it waits for a reply.
    fn grace(&self) -> Duration {
        match self.pace {
            ProviderPace::Immediate => STUCK_AFTER,
            ProviderPace::Thinking if self.replies_are_slow.load(Ordering::Relaxed) => SENDING,
            ProviderPace::Thinking => FAST_REPLY,
        }
    }

    fn learn(&self, is_slow: bool) {
        self.replies_are_slow.store(is_slow, Ordering::Relaxed);
    }

    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        Arc::clone(&self.slots).acquire_owned().await.ok()
    }
}

/// A trial's right to compute. It is released while the trial waits for a reply, and when it is dropped.
#[derive(Debug)]
pub struct Slot(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    schedule: Arc<Schedule>,
    permit: Option<OwnedSemaphorePermit>,
    /// When the trial sent the request that has no reply yet. It tells a timer whether its request is still open.
    requested: Option<Instant>,
}

impl Slot {
    /// The trial sends a request: it releases the slot unless the reply is fast.
    pub fn request_sent(&self) {
        let requested = Instant::now();
        let grace = {
            let mut state = self.0.lock();
            state.requested = Some(requested);
            state.schedule.grace()
        };
        let state = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            sleep(grace).await;
            if let Some(state) = state.upgrade() {
                let mut state = state.lock();
                if state.requested == Some(requested) {
                    if grace >= FAST_REPLY {
                        state.schedule.learn(true);
                    }
                    state.permit = None;
                }
            }
        });
    }

    /// The trial shows a reply, so it computes already. It takes a slot if one is free.
    pub fn reply_shown(&self) {
        let mut state = self.0.lock();
        state.reply_arrived();
        if state.permit.is_none() {
            state.permit = Arc::clone(&state.schedule.slots).try_acquire_owned().ok();
        }
    }

    pub fn handle(&self) -> SlotHandle {
        SlotHandle(Arc::downgrade(&self.0))
    }
}

impl State {
    fn reply_arrived(&mut self) {
        if let Some(requested) = self.requested.take() {
            self.schedule.learn(requested.elapsed() >= FAST_REPLY);
        }
    }
}

/// Acquires a trial's slot again, for a relay that can delay replies.
#[derive(Clone, Debug)]
pub struct SlotHandle(Weak<Mutex<State>>);

impl SlotHandle {
    /// A reply arrived: waits until the trial has a slot, for two seconds at most. Returns at once if the trial kept its
    /// slot or has ended.
    pub async fn reacquire(&self) {
        let Some(schedule) = self.reply_arrived() else {
            return;
        };
        let permit = timeout(MAX_HOLD, schedule.permit()).await.ok().flatten();
        if let Some(state) = self.0.upgrade() {
            let mut state = state.lock();
            state.permit = state.permit.take().or(permit);
        }
    }

    /// The schedule, if the trial needs a slot.
    fn reply_arrived(&self) -> Option<Arc<Schedule>> {
        let state = self.0.upgrade()?;
        let mut state = state.lock();
        state.reply_arrived();
        state.permit.is_none().then(|| Arc::clone(&state.schedule))
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn poll<T>(future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    async fn slot(schedule: &Arc<Schedule>) -> Slot {
        schedule.acquire(&Queue::default().join(0)).await
    }

    fn may_start(schedule: &Arc<Schedule>) -> Option<Slot> {
        match poll(pin!(slot(schedule))) {
            Poll::Ready(slot) => Some(slot),
            Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn at_most_limit_trials_compute() {
        let schedule = Schedule::new(2, ProviderPace::Thinking);
        let first = may_start(&schedule).expect("no trial computes");
        let _second = may_start(&schedule).expect("one computes");
        assert!(may_start(&schedule).is_none());
        drop(first);
        assert!(may_start(&schedule).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_trial_lets_another_start() {
        let schedule = Schedule::new(1, ProviderPace::Thinking);
        let first = may_start(&schedule).expect("no trial computes");
        first.request_sent();
        assert!(may_start(&schedule).is_none(), "the reply may be fast");
        let second = slot(&schedule).await;
        drop(second);
        first.reply_shown();
        assert!(may_start(&schedule).is_none(), "the first computes again");
        drop(first);
        assert!(may_start(&schedule).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_reply_gets_a_slot_before_the_second_new_trial() {
        let schedule = Schedule::new(1, ProviderPace::Thinking);
        let first = may_start(&schedule).expect("no trial computes");
        first.request_sent();
        let queue = Queue::default();
        let (third, fourth) = (queue.join(0), queue.join(0));
        let second = slot(&schedule).await;
        let mut third = pin!(schedule.acquire(&third));
        assert!(poll(third.as_mut()).is_pending());
        let mut fourth = pin!(schedule.acquire(&fourth));
        assert!(poll(fourth.as_mut()).is_pending());
        let handle = first.handle();
        let mut reacquired = pin!(handle.reacquire());
        assert!(poll(reacquired.as_mut()).is_pending(), "the second computes");
        drop(second);
        drop(third.await);
        reacquired.await;
        assert!(poll(fourth.as_mut()).is_pending(), "the first computes again");
        drop(first);
        fourth.await;
    }

    #[tokio::test]
    async fn the_lowest_rank_starts_first() {
        let schedule = Schedule::new(1, ProviderPace::Thinking);
        let (queue, started) = (Queue::default(), Mutex::new(Vec::new()));
        let not_ready = queue.join(0);
        let starts = |rank| {
            let ticket = queue.join(rank);
            let (schedule, started) = (&schedule, &started);
            async move {
                let _slot = schedule.acquire(&ticket).await;
                started.lock().push(rank);
            }
        };
        let (fifth, third, first) = (starts(5), starts(3), starts(1));
        let mut all = pin!(futures_util::future::join3(fifth, third, first));
        assert!(poll(all.as_mut()).is_pending());
        assert!(started.lock().is_empty(), "the first is not ready");
        drop(not_ready);
        all.await;
        assert_eq!(*started.lock(), [1, 3, 5]);
    }

    #[tokio::test]
    async fn a_later_ticket_with_a_lower_rank_starts_earlier() {
        let schedule = Schedule::new(1, ProviderPace::Thinking);
        let queue = Queue::default();
        let computes = slot(&schedule).await;
        let late = queue.join(2);
        let mut late = pin!(schedule.acquire(&late));
        assert!(
            poll(late.as_mut()).is_pending(),
            "it is the first, and waits for a slot"
        );
        let early = queue.join(1);
        assert!(poll(late.as_mut()).is_pending());
        let mut early = pin!(schedule.acquire(&early));
        assert!(poll(early.as_mut()).is_pending());
        drop(computes);
        assert!(poll(late.as_mut()).is_pending());
        drop(early.await);
        late.await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_reply_is_delayed_briefly_and_only_without_a_slot() {
        let schedule = Schedule::new(1, ProviderPace::Thinking);
        let first = may_start(&schedule).expect("no trial computes");
        let handle = first.handle();
        first.request_sent();
        assert!(poll(pin!(handle.reacquire())).is_ready(), "it kept its slot");
        first.request_sent();
        let second = slot(&schedule).await;
        handle.reacquire().await;
        drop(first);
        assert!(poll(pin!(handle.reacquire())).is_ready(), "the trial ended");
        drop(second);
        assert!(may_start(&schedule).is_some(), "no slot is lost");
    }

    #[tokio::test(start_paused = true)]
    async fn a_fast_reply_keeps_the_slot() {
        let schedule = Schedule::new(1, ProviderPace::Thinking);
        let first = may_start(&schedule).expect("no trial computes");
        first.request_sent();
        first.reply_shown();
        sleep(FAST_REPLY * 3).await;
        assert!(may_start(&schedule).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_fast_reply_the_slot_is_kept_longer() {
        let schedule = Schedule::new(1, ProviderPace::Thinking);
        let first = may_start(&schedule).expect("no trial computes");
        first.request_sent();
        assert!(may_start(&schedule).is_none(), "the request is being sent");
        sleep(SENDING * 2).await;
        drop(may_start(&schedule).expect("the first reply may be slow"));
        first.reply_shown();
        first.request_sent();
        sleep(SENDING * 2).await;
        assert!(may_start(&schedule).is_none(), "the last reply was fast");
        sleep(FAST_REPLY * 2).await;
        drop(may_start(&schedule).expect("this reply is slow"));
        first.reply_shown();
        first.request_sent();
        sleep(SENDING * 2).await;
        drop(may_start(&schedule).expect("the last reply was slow"));
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_request_does_not_count_as_a_slow_reply() {
        let schedule = Schedule::new(2, ProviderPace::Thinking);
        let (first, second) = (slot(&schedule).await, slot(&schedule).await);
        first.request_sent();
        sleep(SENDING / 2).await;
        second.request_sent();
        sleep(SENDING * 3 / 4).await;
        first.reply_shown();
        sleep(SENDING / 2).await;
        let third = may_start(&schedule).expect("the second sent its request");
        first.request_sent();
        sleep(SENDING * 2).await;
        assert!(may_start(&schedule).is_none(), "the last reply was fast");
        drop(third);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reply_is_measured_once() {
        let schedule = Schedule::new(1, ProviderPace::Thinking);
        let first = may_start(&schedule).expect("no trial computes");
        first.request_sent();
        sleep(SENDING * 2).await;
        let second = may_start(&schedule).expect("replies are slow");
        // The reply is fast, but its delivery is delayed.
        first.handle().reacquire().await;
        first.reply_shown();
        drop(second);
        first.reply_shown();
        first.request_sent();
        sleep(SENDING * 2).await;
        assert!(may_start(&schedule).is_none(), "the last reply was fast");
    }

    #[tokio::test(start_paused = true)]
    async fn an_overloaded_gateway_gets_no_more_trials_until_one_is_stuck() {
        let schedule = Schedule::new(1, ProviderPace::Immediate);
        let first = may_start(&schedule).expect("no trial computes");
        first.request_sent();
        sleep(FAST_REPLY * 4).await;
        assert!(may_start(&schedule).is_none(), "the gateway is working");
        sleep(STUCK_AFTER).await;
        let second = may_start(&schedule).expect("it is stuck");
        first.reply_shown();
        second.request_sent();
        sleep(FAST_REPLY * 4).await;
        assert!(may_start(&schedule).is_none(), "a stuck trial teaches nothing");
    }
}
