//! A job runner that keeps its jobs in memory, and re-runs the failed ones with bulk_rerun. There is no store to open: the
//! plugin asks for the jobs and has them started through callbacks, and needs no SQLite for that.
//!
//! ```sh
//! cargo run -p callbacks
//! ```

use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bulk_rerun::host::HostError;
use bulk_rerun::host::callbacks::{HostCallbacks, Reply};
use bulk_rerun::{Config, Plugin};
use serde_json::{Value, json};

struct Job {
    task: &'static str,
    tenant: String,
    /// `None` while it waits.
    succeeded: Option<bool>,
}

/// The jobs, each known by its place.
#[derive(Clone, Default)]
struct Runner(Arc<Mutex<Vec<Job>>>);

impl Runner {
    fn jobs(&self) -> MutexGuard<'_, Vec<Job>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, task: &'static str, tenant: &str) -> usize {
        let mut jobs = self.jobs();
        jobs.push(Job { task, tenant: tenant.to_owned(), succeeded: None });
        jobs.len() - 1
    }

    /// Runs what waits.
    fn work(&self, mut run: impl FnMut(&Job) -> bool) {
        for (id, job) in self.jobs().iter_mut().enumerate().filter(|(_, job)| job.succeeded.is_none()) {
            let succeeded = run(job);
            job.succeeded = Some(succeeded);
            println!("job {id}, {} of {}: {}", job.task, job.tenant, if succeeded { "succeeded" } else { "failed" });
        }
    }
}

impl HostCallbacks for Runner {
    /// Every job, as a run: which of them are meant is checked once more anyway.
    fn runs(&self, _selector: &str, emit: &mut dyn FnMut(&str) -> Result<(), HostError>) -> Result<(), HostError> {
        self.jobs().iter().enumerate().try_for_each(|(id, job)| {
            let (phase, end_reason) = match job.succeeded {
                None => ("pending", None),
                Some(true) => ("ended", Some("succeeded")),
                Some(false) => ("ended", Some("failed")),
            };
            let run = json!({"id": id.to_string(), "task_name": job.task, "phase": phase, "end_reason": end_reason,
                             "params": {"tenant": job.tenant}});
            emit(&run.to_string())
        })
    }

    /// A new job with the parameters of an old one, which is among those that were handed over.
    fn spawn(&self, source_run: &str) -> Result<Reply, HostError> {
        let run: Value = serde_json::from_str(source_run).unwrap_or_default();
        let place = run["id"].as_str().and_then(|id| id.parse::<usize>().ok());
        let source = place.and_then(|place| self.jobs().get(place).map(|job| (job.task, job.tenant.clone())));
        Ok(match source {
            Some((task, tenant)) => Reply::Started(self.add(task, &tenant).to_string()),
            None => Reply::Skipped("there is no such job".to_owned()),
        })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let runner = Runner::default();
    for tenant in ["Łódzkie Meble", "Ateliers Brûlé", "Müller & Söhne"] {
        runner.add("invoice", tenant);
    }
    runner.work(|job| job.tenant == "Ateliers Brûlé");

    let plugin = Plugin::attach(Box::new(runner.clone()), &Config::new(""))?;
    let request = br#"{"match_all": true, "filter": {"status": "failed"}, "options": {"unique_by": "params"}}"#;
    println!("{}", plugin.call(request)?);

    runner.work(|_| true);
    Ok(())
}
