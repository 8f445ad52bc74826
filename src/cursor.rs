//! A cursor: the runs that matched a selector at one moment, handed out one by one.
//!
//! It evaluates the selector at once and keeps the runs in a spool of its own, in memory while they
//! are few, else in a temporary file without a name. So nothing is held on the store between two
//! runs, however slow the caller is, and what is spawned meanwhile does not come up.

use std::io::{self, BufRead, BufReader, BufWriter, Seek, Write};

use tempfile::SpooledTempFile;

use crate::contract::{ErrorModel, Run};

/// As much is kept in memory, in bytes.
const IN_MEMORY_MAX: usize = 1024 * 1024;

/// The runs that matched when it was made, in the store's own order.
///
/// ```no_run
/// # use bulk_rerun::{Config, Plugin};
/// # let plugin = Plugin::open(&Config::new(".runwisp/runwisp.db"))?;
/// let mut failed = plugin.cursor(br#"{"match_all": true, "filter": {"status": "failed"}}"#)?;
/// while let Some(run_json) = failed.next_run()? {
///     println!("{run_json}");
/// }
/// # Ok::<(), bulk_rerun::ErrorModel>(())
/// ```
pub struct Cursor {
    spool: BufReader<SpooledTempFile>,
}

impl Cursor {
    /// Spools the runs that `select` hands over.
    pub(crate) fn over(
        select: impl FnOnce(&mut dyn FnMut(Run) -> Result<(), ErrorModel>) -> Result<(), ErrorModel>,
    ) -> Result<Cursor, ErrorModel> {
        let mut spool = BufWriter::new(SpooledTempFile::new(IN_MEMORY_MAX));
        // A run's JSON has no line break in it.
        select(&mut |run| writeln!(spool, "{}", run.to_json()).map_err(failed))?;
        let mut spool = spool.into_inner().map_err(|error| failed(error.into_error()))?;
        spool.rewind().map_err(failed)?;
        Ok(Cursor { spool: BufReader::new(spool) })
    }

    /// The next run's JSON, in canonical columns; `None` at the end.
    ///
    /// # Errors
    ///
    /// 500 if the temporary file can't be read.
    pub fn next_run(&mut self) -> Result<Option<String>, ErrorModel> {
        let mut line = String::new();
        if self.spool.read_line(&mut line).map_err(failed)? == 0 {
            return Ok(None);
        }
        line.truncate(line.trim_end_matches('\n').len());
        Ok(Some(line))
    }
}

fn failed(error: io::Error) -> ErrorModel {
    let folder = std::env::temp_dir();
    ErrorModel::new(500, format!("the runs can't be kept in a temporary file in {}: {error}", folder.display()))
}
