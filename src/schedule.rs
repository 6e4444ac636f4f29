//! When a `claude` may compute: as many at once as there are cores, and any number may wait.
//!
//! The start of a `claude` is about half a second of processor work, and so is what it does with an answer; more of
//! that at once than the machine has cores makes the whole slower (measured: 72 runs take 20 s by two on
//! two cores, 35 s by sixteen). Waiting for a provider costs nothing. Who begins waits for a place, and so does who has
//! been answered, where somebody can hold the answer back for it. This module knows no process and no request.

use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};

/// An answer that comes sooner leaves no time in which another trial could start: the gateway is at work on it. How
/// long the next answer takes is told by the last one, and the first is taken to be slow: only after a quick one is it waited
/// so long for the next before the trial counts as waiting (at 3 s to the first byte, waiting each time made the matrix 1.7
/// times slower).
const GRACE: Duration = Duration::from_millis(250);

/// The same where the provider answers at once: what takes long then is a gateway that has too much to do already, and more
/// of it would make it take longer still (measured on a machine that had become slow: 13 of 72 trials were red with 32
/// under way, none with 8). Only a trial that seems to be stuck gives up its place.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is left of the work on a question once a `claude` has said that it asks: it builds the request and sends it
/// (0.05 s of processor time, measured with 2.1.327). Who begins in that time makes both slower, and the matrix at 3 s to the
/// first byte takes a twentieth longer.
const SENDING: Duration = Duration::from_millis(50);

/// How long an answer is held back at most: others have a patience too, that of a provider which sends its events in
/// step with what shows ([`LOCKSTEP_PATIENCE_MS`](crate::wire::script::LOCKSTEP_PATIENCE_MS)) the shortest.
const HOLD: Duration = Duration::from_secs(2);

/// The places of those that compute.
#[derive(Debug)]
pub struct Schedule {
    places: Arc<Semaphore>,
    provider: Answers,
    answers_are_slow: AtomicBool,
}

/// Those that are to begin, in order; one line for a schedule. Only the first of them waits for a place, so who has been
/// answered stands behind one of them at most.
#[derive(Clone, Debug, Default)]
pub struct Line {
    tickets: watch::Sender<BTreeSet<Ticket>>,
    given_out: Arc<AtomicUsize>,
}

/// The lowest rank is first, and of one rank who came first.
type Ticket = (usize, usize);

/// One that stands in the line, until it has its turn or is dropped.
#[derive(Debug)]
pub struct Standing {
    line: Line,
    ticket: Ticket,
}

impl Line {
    /// Stands behind all of a lower `rank`, before it can say that it is ready: those of a higher one wait for it.
    pub fn stand(&self, rank: usize) -> Standing {
        let ticket = (rank, self.given_out.fetch_add(1, Ordering::Relaxed));
        let line = self.clone();
        let standing = Standing { line, ticket };
        standing.enter();
        standing
    }
}

impl Standing {
    fn enter(&self) {
        self.change(|tickets| tickets.insert(self.ticket));
    }

    fn leave(&self) {
        self.change(|tickets| tickets.remove(&self.ticket));
    }

    /// Wakes the others where another is the first.
    fn change(&self, change: impl FnOnce(&mut BTreeSet<Ticket>) -> bool) {
        self.line.tickets.send_if_modified(|tickets| {
            let first = tickets.first().copied();
            change(tickets) && tickets.first() != first.as_ref()
        });
    }

    /// Waits for a place while it is the first.
    async fn place(&self, schedule: &Schedule) -> Option<OwnedSemaphorePermit> {
        self.enter();
        let is_first = |tickets: &BTreeSet<Ticket>| tickets.first() == Some(&self.ticket);
        let mut tickets = self.line.tickets.subscribe();
        let place = loop {
            // Neither wait fails: the line is there as long as one stands in it.
            let _ = tickets.wait_for(is_first).await;
            tokio::select! {
                biased;
                _ = tickets.wait_for(|tickets| !is_first(tickets)) => {}
                place = schedule.place() => break place,
            }
        };
        self.leave();
        place
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        self.leave();
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// Without thinking: all that an answer takes is work on this machine.
    AtOnce,
    InItsTime,
}

impl Schedule {
    /// Lets `limit` trials compute at once, before a provider that answers as said.
    pub fn new(limit: usize, provider: Answers) -> Arc<Self> {
        Arc::new(Self {
            places: Arc::new(Semaphore::new(limit)),
            provider,
            answers_are_slow: AtomicBool::new(true),
        })
    }

    /// Waits until a trial may start: it is the first in its line, and there is a place. It computes until the turn is
    /// dropped, or says otherwise. Who wants another turn stands in the line again.
    pub async fn turn(self: &Arc<Self>, standing: &Standing) -> Turn {
        let place = standing.place(self).await;
        Turn(Arc::new(Mutex::new(State {
            schedule: Arc::clone(self),
            place,
            asked: None,
        })))
    }

    /// How long an answer may take before its trial counts as waiting.
    fn grace(&self) -> Duration {
        match self.provider {
            Answers::AtOnce => PATIENCE,
            Answers::InItsTime if self.answers_are_slow.load(Ordering::Relaxed) => SENDING,
            Answers::InItsTime => GRACE,
        }
    }

    fn learn(&self, is_slow: bool) {
        self.answers_are_slow.store(is_slow, Ordering::Relaxed);
    }

    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        // It is never closed.
        Arc::clone(&self.places).acquire_owned().await.ok()
    }
}

#[derive(Debug)]
pub struct Turn(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    schedule: Arc<Schedule>,
    place: Option<OwnedSemaphorePermit>,
    /// When the question was asked that is not yet answered: a timer of another does nothing.
    asked: Option<Instant>,
}

impl Turn {
    /// The trial has asked the gateway for something: if the answer takes its time, another may have its place.
    pub fn asks(&self) {
        let asked = Instant::now();
        let grace = {
            let mut state = self.0.lock();
            state.asked = Some(asked);
            state.schedule.grace()
        };
        let state = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            sleep(grace).await;
            if let Some(state) = state.upgrade() {
                let mut state = state.lock();
                if state.asked == Some(asked) {
                    if grace >= GRACE {
                        state.schedule.learn(true);
                    }
                    state.place = None;
                }
            }
        });
    }

    /// The answer shows: the trial computes, whether or not there is a place for it.
    pub fn is_answered(&self) {
        let mut state = self.0.lock();
        state.answered();
        if state.place.is_none() {
            state.place = Arc::clone(&state.schedule.places).try_acquire_owned().ok();
        }
    }

    /// For whoever can hold its answers back.
    pub fn gate(&self) -> Gate {
        Gate(Arc::downgrade(&self.0))
    }
}

impl State {
    fn answered(&mut self) {
        if let Some(asked) = self.asked.take() {
            self.schedule.learn(asked.elapsed() >= GRACE);
        }
    }
}

/// What an answer to a trial passes.
#[derive(Clone, Debug)]
pub struct Gate(Weak<Mutex<State>>);

impl Gate {
    /// An answer has come: waits, for a while at most, until there is a place in which its trial can compute. Without a wait
    /// for a trial that has kept its place, or whose turn is over.
    pub async fn pass(&self) {
        let Some(schedule) = self.answered() else { return };
        let place = timeout(HOLD, schedule.place()).await.ok().flatten();
        if let Some(state) = self.0.upgrade() {
            let mut state = state.lock();
            state.place = state.place.take().or(place);
        }
    }

    /// The schedule, where there is something to wait for.
    fn answered(&self) -> Option<Arc<Schedule>> {
        let state = self.0.upgrade()?;
        let mut state = state.lock();
        state.answered();
        state.place.is_none().then(|| Arc::clone(&state.schedule))
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

    async fn turn(schedule: &Arc<Schedule>) -> Turn {
        schedule.turn(&Line::default().stand(0)).await
    }

    fn may_start(schedule: &Arc<Schedule>) -> Option<Turn> {
        match poll(pin!(turn(schedule))) {
            Poll::Ready(turn) => Some(turn),
            Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn as_many_trials_compute_as_the_limit_says() {
        let schedule = Schedule::new(2, Answers::InItsTime);
        let first = may_start(&schedule).expect("nobody computes");
        let _second = may_start(&schedule).expect("one computes");
        assert!(may_start(&schedule).is_none());
        drop(first);
        assert!(may_start(&schedule).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_trial_that_waits_lets_another_start() {
        let schedule = Schedule::new(1, Answers::InItsTime);
        let first = may_start(&schedule).expect("nobody computes");
        first.asks();
        assert!(may_start(&schedule).is_none(), "the answer may come at once");
        let second = turn(&schedule).await;
        drop(second);
        first.is_answered();
        assert!(may_start(&schedule).is_none(), "the first computes again");
        drop(first);
        assert!(may_start(&schedule).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_held_until_there_is_a_place_and_before_those_that_are_to_begin() {
        let schedule = Schedule::new(1, Answers::InItsTime);
        let first = may_start(&schedule).expect("nobody computes");
        first.asks();
        let line = Line::default();
        let (third, fourth) = (line.stand(0), line.stand(0));
        let second = turn(&schedule).await;
        let mut third = pin!(schedule.turn(&third));
        assert!(poll(third.as_mut()).is_pending());
        let mut fourth = pin!(schedule.turn(&fourth));
        assert!(poll(fourth.as_mut()).is_pending());
        let gate = first.gate();
        let mut pass = pin!(gate.pass());
        assert!(poll(pass.as_mut()).is_pending(), "the second computes");
        drop(second);
        drop(third.await);
        pass.await;
        assert!(poll(fourth.as_mut()).is_pending(), "the first computes again");
        drop(first);
        fourth.await;
    }

    #[tokio::test]
    async fn of_those_that_stand_in_line_the_lowest_rank_begins_first() {
        let schedule = Schedule::new(1, Answers::InItsTime);
        let (line, begun) = (Line::default(), Mutex::new(Vec::new()));
        let not_ready = line.stand(0);
        let begins = |rank| {
            let standing = line.stand(rank);
            let (schedule, begun) = (&schedule, &begun);
            async move {
                let _turn = schedule.turn(&standing).await;
                begun.lock().push(rank);
            }
        };
        let (fifth, third, first) = (begins(5), begins(3), begins(1));
        let mut all = pin!(futures_util::future::join3(fifth, third, first));
        assert!(poll(all.as_mut()).is_pending());
        assert!(begun.lock().is_empty(), "the first is not ready");
        drop(not_ready);
        all.await;
        assert_eq!(*begun.lock(), [1, 3, 5]);
    }

    #[tokio::test]
    async fn who_comes_later_with_a_lower_rank_begins_earlier() {
        let schedule = Schedule::new(1, Answers::InItsTime);
        let line = Line::default();
        let computes = turn(&schedule).await;
        let late = line.stand(2);
        let mut late = pin!(schedule.turn(&late));
        assert!(
            poll(late.as_mut()).is_pending(),
            "it is the first, and waits for a place"
        );
        let early = line.stand(1);
        assert!(poll(late.as_mut()).is_pending());
        let mut early = pin!(schedule.turn(&early));
        assert!(poll(early.as_mut()).is_pending());
        drop(computes);
        assert!(poll(late.as_mut()).is_pending());
        drop(early.await);
        late.await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_not_held_for_long_nor_where_the_turn_is_kept_or_over() {
        let schedule = Schedule::new(1, Answers::InItsTime);
        let first = may_start(&schedule).expect("nobody computes");
        let gate = first.gate();
        first.asks();
        assert!(poll(pin!(gate.pass())).is_ready(), "it has kept its place");
        first.asks();
        let second = turn(&schedule).await;
        gate.pass().await;
        drop(first);
        assert!(poll(pin!(gate.pass())).is_ready(), "its turn is over");
        drop(second);
        assert!(may_start(&schedule).is_some(), "no place is lost");
    }

    #[tokio::test(start_paused = true)]
    async fn a_quick_answer_leaves_no_room() {
        let schedule = Schedule::new(1, Answers::InItsTime);
        let first = may_start(&schedule).expect("nobody computes");
        first.asks();
        first.is_answered();
        sleep(GRACE * 3).await;
        assert!(may_start(&schedule).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_leaves_room_once_it_is_sent_but_after_a_quick_answer() {
        let schedule = Schedule::new(1, Answers::InItsTime);
        let first = may_start(&schedule).expect("nobody computes");
        first.asks();
        assert!(may_start(&schedule).is_none(), "the question is being sent");
        sleep(SENDING * 2).await;
        drop(may_start(&schedule).expect("the first answer may be slow"));
        first.is_answered();
        first.asks();
        sleep(SENDING * 2).await;
        assert!(may_start(&schedule).is_none(), "the last answer was quick");
        sleep(GRACE * 2).await;
        drop(may_start(&schedule).expect("this one takes its time"));
        first.is_answered();
        first.asks();
        sleep(SENDING * 2).await;
        drop(may_start(&schedule).expect("the last answer was slow"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_that_is_sent_is_no_slow_answer() {
        let schedule = Schedule::new(2, Answers::InItsTime);
        let (first, second) = (turn(&schedule).await, turn(&schedule).await);
        first.asks();
        sleep(SENDING / 2).await;
        second.asks();
        sleep(SENDING * 3 / 4).await;
        first.is_answered();
        sleep(SENDING / 2).await;
        let third = may_start(&schedule).expect("the second has sent its question");
        first.asks();
        sleep(SENDING * 2).await;
        assert!(may_start(&schedule).is_none(), "the last answer was quick");
        drop(third);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_learnt_of_once() {
        let schedule = Schedule::new(1, Answers::InItsTime);
        let first = may_start(&schedule).expect("nobody computes");
        first.asks();
        sleep(SENDING * 2).await;
        let second = may_start(&schedule).expect("answers are slow");
        // The answer is quick, but it is held back for long.
        first.gate().pass().await;
        first.is_answered();
        drop(second);
        first.is_answered();
        first.asks();
        sleep(SENDING * 2).await;
        assert!(may_start(&schedule).is_none(), "the last answer was quick");
    }

    #[tokio::test(start_paused = true)]
    async fn a_gateway_that_has_too_much_to_do_gets_no_more_but_for_what_is_stuck() {
        let schedule = Schedule::new(1, Answers::AtOnce);
        let first = may_start(&schedule).expect("nobody computes");
        first.asks();
        sleep(GRACE * 4).await;
        assert!(may_start(&schedule).is_none(), "the gateway is at work");
        sleep(PATIENCE).await;
        let second = may_start(&schedule).expect("it is stuck");
        first.is_answered();
        second.asks();
        sleep(GRACE * 4).await;
        assert!(may_start(&schedule).is_none(), "nothing was learnt of it");
    }
}
