//! `bulk-rerun man`: the help as manual pages, for readers and for packagers.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;

use super::{Cli, Failure};
use crate::contract::{ErrorModel, nearest};

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  # The tool's page, and a command's
  bulk-rerun man | man -l -
  bulk-rerun man rerun | man -l -
  bulk-rerun man ledger create

  # For packagers: all of them
  bulk-rerun man --dir man1")]
pub(super) struct Arguments {
    /// The command whose page it is [default: the tool's own]
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
    /// Write the pages of all commands into this folder
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    dir: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    match &arguments.dir {
        Some(dir) => {
            let cannot = |error: io::Error| {
                ErrorModel::new(500, format!("the pages can't be written into {}: {error}", dir.display()))
            };
            fs::create_dir_all(dir).map_err(cannot)?;
            for (name, page) in pages(&root)? {
                fs::write(dir.join(name), page).map_err(cannot)?;
            }
        }
        None => io::stdout().write_all(&page(find(&root, &arguments.command)?)?)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The command that these words call.
fn find<'c>(root: &'c Command, words: &[String]) -> Result<&'c Command, Failure> {
    words.iter().try_fold(root, |command, word| {
        let known = || command.get_subcommands().filter(|command| !command.is_hide_set()).map(Command::get_name);
        let found = command.find_subcommand(word).filter(|command| !command.is_hide_set());
        found.ok_or_else(|| {
            let hint = nearest(word, known()).map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
            Failure::Usage(ErrorModel::new(400, format!("`{}` has no command `{word}`{hint}", command.get_name())))
        })
    })
}

/// A command's page and those of its own commands, each under its file's name.
fn pages(command: &Command) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut all = vec![(Man::new(command.clone()).get_filename(), page(command)?)];
    for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        all.extend(pages(command)?);
    }
    Ok(all)
}

fn page(command: &Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let source = concat!("bulk-rerun ", env!("CARGO_PKG_VERSION"));
    Man::new(command.clone()).source(source).manual("bulk-rerun").render(&mut page)?;
    Ok(with_examples_as_they_are(&String::from_utf8_lossy(&page)).into_bytes())
}

/// What stands below the flags are notes, examples and exit statuses, whose lines are not to be broken elsewhere.
fn with_examples_as_they_are(page: &str) -> String {
    let Some((flags, notes)) = page.split_once("\n.SH EXTRA\n") else { return page.to_owned() };
    let (notes, rest) = notes.find("\n.SH ").map_or((notes, ""), |end| notes.split_at(end + 1));
    format!("{flags}\n.SH NOTES\n.nf\n.in 2n\n{notes}.in\n.fi\n{rest}")
}
