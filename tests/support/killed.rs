//! Calls with a key, of processes and of threads at once, in which processes are killed at random moments; each is made
//! again with its key until it is answered.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bulk_rerun::{Config, Plugin};
use serde_json::{Value, json};

use super::runners::bulk_rerun;

/// Callers at a time.
const CALLERS: usize = 4;

/// Runs that a call starts again.
const RUNS_EACH: usize = 5;

/// A store with a ledger and with failed runs, of which only these calls start any again.
pub struct Calls<'a> {
    /// The store's address.
    pub address: &'a str,
    /// The ids of its failed runs.
    pub failed: &'a [String],
    /// How many calls; ten times as many at most, as long as all kills fell on one side of the commit.
    pub count: u32,
    /// Whether a process that is about to be killed is in the middle of its transaction, where that can be seen.
    pub is_writing: &'a (dyn Fn(&Child) -> bool + Sync),
}

/// What the kills met.
#[derive(Debug)]
struct Tally {
    /// How long a process lives, roughly: kills and ends that come before them move it, for it depends on what else the
    /// machine is at.
    life: Duration,
    processes: usize,
    kills: usize,
    /// Of the kills: in the middle of the transaction, as far as could be seen.
    while_writing: usize,
    /// Calls of which the kills had left nothing: the repeat has spawned.
    left_nothing: usize,
    /// Calls that had been done without their caller knowing: the repeat was told so.
    left_all: usize,
}

impl Tally {
    fn new() -> Tally {
        let life = Duration::from_millis(20);
        Tally { life, processes: 0, kills: 0, while_writing: 0, left_nothing: 0, left_all: 0 }
    }

    fn is_one_sided(&self) -> bool {
        self.left_nothing == 0 || self.left_all == 0
    }
}

/// What becomes of a process.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Lives,
    /// It is killed at any moment.
    Sometime,
    /// It is killed about when it has done its work, if it has not ended by then: a commit is short.
    Late,
}

impl Fate {
    fn at_random() -> Fate {
        [Fate::Lives, Fate::Sometime, Fate::Late, Fate::Late][fastrand::usize(..4)]
    }

    fn part_of_its_life(self) -> Option<f64> {
        match self {
            Fate::Lives => None,
            Fate::Sometime => Some(fastrand::f64()),
            Fate::Late => Some(0.8 + 0.4 * fastrand::f64()),
        }
    }
}

/// What each call was answered in the end, by its number, which is its key.
pub struct Answers(BTreeMap<usize, Value>);

impl Calls<'_> {
    /// Half of the calls are made by processes, of which about half are killed.
    pub fn make(&self) -> Answers {
        let config = Config { busy_timeout_ms: 60_000, ..Config::new(self.address) };
        let plugin = Plugin::open(&config).unwrap();
        let count = self.count as usize;
        let (next, tally, begun) = (AtomicUsize::new(0), Mutex::new(Tally::new()), Instant::now());
        let answers = Mutex::new(BTreeMap::new());
        thread::scope(|scope| {
            for _ in 0..CALLERS {
                scope.spawn(|| {
                    let is_wanted =
                        |number: usize| number < count || (number < 10 * count && tally.lock().unwrap().is_one_sided());
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if !is_wanted(number) {
                            break;
                        }
                        let answer = match number % 2 {
                            0 => self.by_process(number, &tally),
                            _ => self.by_thread(&plugin, number),
                        };
                        answers.lock().unwrap().insert(number, answer);
                    }
                });
            }
        });
        let (tally, answers) = (tally.into_inner().unwrap(), answers.into_inner().unwrap());
        println!("{} calls in {:?}: {tally:?}", answers.len(), begun.elapsed());
        assert!(!tally.is_one_sided(), "all kills fell on one side of the commit: {tally:?}");
        // Asked once more, each is what it was.
        for (&number, answer) in &answers {
            let again = self.by_thread(&plugin, number);
            assert_eq!((&again["replayed"], &again["triggered"]), (&json!(true), &answer["triggered"]), "{number}");
        }
        Answers(answers)
    }

    fn ids(&self, number: usize) -> Vec<&str> {
        let ids = self.failed.iter().cycle().skip(number % self.failed.len()).take(RUNS_EACH);
        ids.map(String::as_str).collect()
    }

    fn by_thread(&self, plugin: &Plugin, number: usize) -> Value {
        let options = json!({"unique_by": "run", "idempotency_key": number.to_string()});
        super::calls::call(plugin, &json!({"ids": self.ids(number), "options": options})).unwrap()
    }

    fn start(&self, number: usize) -> Child {
        let (ids, key) = (self.ids(number).join(","), number.to_string());
        let mut command = bulk_rerun();
        command.args(["rerun", "--yes", "--json", "--unique-by", "run", "--busy-timeout", "60s"]);
        command.args(["--store", self.address, "--ids", &ids, "--idempotency-key", &key]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Attempts are made until one is answered.
    fn by_process(&self, number: usize, tally: &Mutex<Tally>) -> Value {
        let mut was_killed = false;
        loop {
            let mut process = self.start(number);
            let fate = Fate::at_random();
            let mut while_writing = false;
            if let Some(part) = fate.part_of_its_life() {
                let life = tally.lock().unwrap().life;
                thread::sleep(life.mul_f64(part));
                while_writing = (self.is_writing)(&process);
                process.kill().unwrap();
            }
            let output = process.wait_with_output().unwrap();
            let is_killed = output.status.signal() == Some(libc::SIGKILL);
            let mut tally = tally.lock().unwrap();
            tally.processes += 1;
            tally.kills += usize::from(is_killed);
            tally.while_writing += usize::from(is_killed && while_writing);
            if fate == Fate::Late {
                tally.life = tally.life.mul_f64(if is_killed { 1.1 } else { 0.9 });
            }
            if is_killed {
                was_killed = true;
                continue;
            }
            assert!(output.status.success(), "{output:?}");
            let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
            match (was_killed, answer.get("replayed").is_some()) {
                (true, true) => tally.left_all += 1,
                (true, false) => tally.left_nothing += 1,
                (false, is_repeat) => assert!(!is_repeat, "call {number} is the first with its key: {answer}"),
            }
            return answer;
        }
    }
}

impl Answers {
    /// How many keys there are.
    pub fn keys(&self) -> usize {
        self.0.len()
    }

    /// Each key has spawned once, and so say all three: what was answered, the ledger (a line
    /// `key|task|source run|new run` for each of its runs), and the store (`task|new run` for each of its new runs).
    #[track_caller]
    pub fn agree_with(&self, ledger: Vec<String>, store: Vec<String>) {
        let of_a_run = |number: &usize, run: &Value| {
            let [task, source, new] = ["task_name", "rerun_of", "run_id"].map(|part| run[part].as_str().unwrap());
            format!("{number}|{task}|{source}|{new}")
        };
        let of_a_call = |(number, answer): (&usize, &Value)| -> Vec<String> {
            let triggered = answer["triggered"].as_array().unwrap();
            assert_eq!(triggered.len(), RUNS_EACH, "{answer}");
            triggered.iter().map(|run| of_a_run(number, run)).collect()
        };
        let answered = sorted(self.0.iter().flat_map(of_a_call));
        let ledger = sorted(ledger.into_iter());
        assert!(answered == ledger, "answered and in the ledger: {}", first_difference(&answered, &ledger));
        let new = answered.iter().map(|line| {
            let parts: Vec<&str> = line.split('|').collect();
            format!("{}|{}", parts[1], parts[3])
        });
        let (new, store) = (sorted(new), sorted(store.into_iter()));
        assert!(new == store, "in the ledger and in the store: {}", first_difference(&new, &store));
    }
}

fn sorted(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = lines.collect();
    lines.sort_unstable();
    lines
}

fn first_difference(one: &[String], other: &[String]) -> String {
    let at = one.iter().zip(other).take_while(|(one, other)| one == other).count();
    format!("{} and {} lines, which differ at {:?} and {:?}", one.len(), other.len(), one.get(at), other.get(at))
}
