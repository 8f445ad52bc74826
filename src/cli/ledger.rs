//! `bulk-rerun ledger`: makes the ledger, shortens it, and takes it away.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use chrono::Utc;
use clap::{Args, Subcommand};

use super::Failure;
use super::arguments::StoreArguments;
use super::output::{People, count};
use super::progress::watch;
use crate::contract::ErrorModel;

#[derive(Debug, Args)]
#[command(after_long_help = "\
The ledger is kept in the store itself, beside the runner's tables, and written
in the transaction of the new runs. Where there is one, every re-run is written
down, by whatever door it comes, and an --idempotency-key can be given;
`history`, `show`, `undo` and `wait` read it.

Examples:
  bulk-rerun ledger create --store runwisp.db
  bulk-rerun rerun --store runwisp.db --status failed --yes \\
    --idempotency-key \"$CI_PIPELINE_ID\" --reason 'the disk was full'
  bulk-rerun ledger prune --store runwisp.db --older-than 90d")]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make the ledger; nothing is done where there is one
    Create {
        #[command(flatten)]
        store: StoreArguments,
    },
    /// Take out the re-runs that are older than this; their keys are free again
    Prune {
        #[command(flatten)]
        store: StoreArguments,
        /// How old: 90d, 12w
        #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
        older_than: Duration,
    },
    /// Take the whole ledger away, with all that is in it
    Drop {
        #[command(flatten)]
        store: StoreArguments,
    },
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let said = match &arguments.what {
        What::Create { store } => match store.open()?.create_ledger()? {
            true => "The ledger was made.".to_owned(),
            false => "There is a ledger already.".to_owned(),
        },
        What::Prune { store, older_than } => {
            let before =
                chrono::Duration::from_std(*older_than).ok().and_then(|age| Utc::now().checked_sub_signed(age));
            let before = before.ok_or_else(|| {
                Failure::Usage(ErrorModel::new(400, "--older-than: so long ago there was no time to count from"))
            })?;
            let plugin = store.open()?;
            let pruned = watch("pruning the ledger", || plugin.prune_ledger(before))?;
            format!("{} taken out of the ledger.", count(pruned, "re-run"))
        }
        What::Drop { store } => {
            store.open()?.drop_ledger()?;
            "The ledger was taken away.".to_owned()
        }
    };
    let told = writeln!(People::on_stdout(false), "{said}").map_err(Failure::from);
    told.map_err(|failure| failure.when_done("but it is done: do not repeat it"))?;
    Ok(ExitCode::SUCCESS)
}
