//! Times several ways of the same work, turn by turn, so that what else the machine does falls on all of them.

use std::time::{Duration, Instant};

/// One way of doing the work: does it once and answers how long that took. What it prepares is not counted.
pub type Contender<'a> = Box<dyn FnMut() -> Duration + 'a>;

/// So much time is spent on one comparison, within the bounds below.
const BUDGET: Duration = Duration::from_secs(3);

/// The times of each contender, round by round.
pub struct Times(Vec<Vec<Duration>>);

/// Runs the contenders in turn: once to warm up, then as often as fits, an odd number of times.
pub fn take_turns(mut contenders: Vec<Contender<'_>>) -> Times {
    let started = Instant::now();
    for contender in &mut contenders {
        contender();
    }
    let round = started.elapsed().as_secs_f64().max(1e-6);
    let rounds = (BUDGET.as_secs_f64() / round).clamp(3.0, 101.0) as usize | 1;
    let mut times = vec![Vec::with_capacity(rounds); contenders.len()];
    for round in 0..rounds {
        // Back and forth, so that nobody always follows the same neighbour.
        for turn in 0..contenders.len() {
            let index = if round % 2 == 0 { turn } else { contenders.len() - 1 - turn };
            times[index].push(contenders[index]());
        }
    }
    Times(times)
}

/// How long a piece of work takes right after it was done once: what the others' turns threw out
/// of the processor's caches is back.
pub fn time_warm<T>(mut work: impl FnMut() -> T) -> Duration {
    std::hint::black_box(work());
    time(work)
}

/// How long a piece of work takes.
pub fn time<T>(work: impl FnOnce() -> T) -> Duration {
    let started = Instant::now();
    std::hint::black_box(work());
    started.elapsed()
}

impl Times {
    /// A contender's median, in milliseconds.
    pub fn median(&self, contender: usize) -> f64 {
        middle(self.0[contender].iter().map(|time| time.as_secs_f64() * 1e3).collect())
    }

    /// How many times as long one contender takes as another: the median over the rounds.
    pub fn ratio(&self, contender: usize, to: usize) -> f64 {
        let pairs = self.0[contender].iter().zip(&self.0[to]);
        middle(pairs.map(|(one, other)| one.as_secs_f64() / other.as_secs_f64()).collect())
    }
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
