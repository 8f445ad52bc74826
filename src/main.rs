//! The `bulk-rerun` command line tool. All of it is in [`bulk_rerun::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    bulk_rerun::cli::main()
}
