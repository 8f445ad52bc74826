//! The fuzz targets (`fuzz/`) without a fuzzer: over their corpora, and around them. It is the same each time; `fuzz/run` looks
//! for what is new, and `BULK_RERUN_CASES=100000 cargo test --test fuzz_targets` further around.

mod support;
#[path = "../fuzz/src/targets/mod.rs"]
mod targets;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use fastrand::Rng;
use libtest_mimic::{Arguments, Trial};

use crate::support::random;

fn main() {
    let trial = |(name, target)| {
        Trial::test(name, move || {
            over_its_corpus(name, target);
            Ok(())
        })
    };
    libtest_mimic::run(&Arguments::from_args(), targets::ALL.map(trial).into()).exit();
}

/// Each of its inputs, then so many that differ a little from them.
fn over_its_corpus(name: &str, target: fn(&[u8])) {
    let run = |input: &[u8]| {
        let ended = catch_unwind(AssertUnwindSafe(|| target(input)));
        ended.unwrap_or_else(|panic| {
            eprintln!("the input was: b\"{}\"", input.escape_ascii());
            resume_unwind(panic)
        });
    };
    let folder = format!("{}/fuzz/corpus/{name}", env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let corpus: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    corpus.iter().for_each(|input| run(input));
    let mut rng = Rng::with_seed(1);
    for _ in 0..random::number(1_000) {
        run(&around(&mut rng, &corpus));
    }
}

/// One of the corpus, after a few accidents.
fn around(rng: &mut Rng, corpus: &[Vec<u8>]) -> Vec<u8> {
    let one = |rng: &mut Rng| rng.choice(corpus).expect("a corpus has inputs").clone();
    let mut input = one(rng);
    for _ in 0..rng.usize(1..=4) {
        let begin = rng.usize(0..=input.len());
        let end = (begin + rng.usize(1..=16)).min(input.len());
        match rng.u8(0..5) {
            0 => input.insert(begin, rng.u8(..)),
            1 => drop(input.drain(begin..end)),
            2 => input.extend_from_within(begin..end),
            3 => {
                let other = one(rng);
                let from = rng.usize(0..=other.len());
                input.splice(begin..end, other[from..].iter().copied().take(16));
            }
            _ if begin < end => input[begin] ^= 1 << rng.u8(0..8),
            _ => {}
        }
    }
    input
}
