//! The `runwisp.toml` that belongs to the history.

use std::fmt::Write;

use super::simulation::{RESTART_DELAY, RETRY_DELAY};
use super::tasks::{SERVICES, Schedule, Standing, TASKS, Task};
use super::zone::Zone;

/// The text of the file. Its strings are plain enough to be quoted alike in Rust and in TOML.
pub(super) fn catalogue(zone: &Zone) -> String {
    let mut text = format!(
        "# The tasks behind the demo's store. Made up like their runs: nobody carries these commands out.\n\n\
         [scheduler]\ntimezone = {:?}\n",
        zone.name,
    );
    for task in TASKS.iter().filter(|task| task.standing != Standing::Retired) {
        // Writing to a text can't fail.
        let _ = add_task(&mut text, task);
    }
    for service in &SERVICES {
        let (name, command, delay) = (service.name, service.command, RESTART_DELAY.num_minutes());
        let _ = write!(text, "\n[services.{name}]\nrun = {command:?}\nrestart_delay = \"{delay}m\"\n");
    }
    text
}

fn add_task(text: &mut String, task: &Task) -> std::fmt::Result {
    writeln!(text, "\n[tasks.{}]\nrun = {:?}", task.name, task.command)?;
    let parameters: Vec<_> =
        task.parameters.names().iter().map(|name| format!("{{ arg = {name:?}, required = true }}")).collect();
    if !parameters.is_empty() {
        writeln!(text, "params = [{}]", parameters.join(", "))?;
    } else if let Some(cron) = task.schedule.cron() {
        writeln!(text, "cron = {cron:?}")?;
    }
    if let Schedule::Startup = task.schedule {
        writeln!(text, "run_on_start = true")?;
    }
    writeln!(text, "timeout = \"{}m\"", task.timeout().num_minutes())?;
    if task.retries > 0 {
        let delay = RETRY_DELAY.num_minutes();
        writeln!(
            text,
            "retry_attempts = {}\nretry_delay = \"{delay}m\"\nretry_backoff = \"exponential\"",
            task.retries
        )?;
    }
    if task.standing == Standing::NeverByHand {
        writeln!(text, "api_trigger = false")?;
    }
    Ok(())
}
