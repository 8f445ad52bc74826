//! A cursor: the runs that matched a selector at one moment, handed out one by one.
//!
//! It evaluates the selector at once and keeps the runs in a spool of its own, in memory while they
//! are few, else in a temporary file without a name. So nothing is held on the store between two
//! runs, however slow the caller is, and what is spawned meanwhile does not come up.

mod packed;

use std::io::{self, BufReader, BufWriter, Read, Seek, Write};

use tempfile::SpooledTempFile;

use crate::contract::{ErrorModel, RunText};
use crate::host::RunRow;

/// As much is kept in memory, in bytes.
const IN_MEMORY_MAX: usize = 1024 * 1024;

/// What is read and written at once, in bytes.
const BUFFER: usize = 64 * 1024;

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
    /// The run that was handed out last.
    packed: Vec<u8>,
}

impl Cursor {
    /// Spools the runs that `select` hands over.
    pub(crate) fn over(
        select: impl FnOnce(&mut dyn FnMut(&RunRow<'_>) -> Result<(), ErrorModel>) -> Result<(), ErrorModel>,
    ) -> Result<Cursor, ErrorModel> {
        let mut spool = BufWriter::with_capacity(BUFFER, SpooledTempFile::new(IN_MEMORY_MAX));
        let mut packed = Vec::new();
        select(&mut |run| {
            packed::pack(&run.to_text(), &mut packed);
            spool.write_all(&packed).map_err(failed)
        })?;
        let mut spool = spool.into_inner().map_err(|error| failed(error.into_error()))?;
        spool.rewind().map_err(failed)?;
        Ok(Cursor { spool: BufReader::with_capacity(BUFFER, spool), packed })
    }

    /// The next run's JSON, in canonical columns; `None` at the end.
    ///
    /// # Errors
    ///
    /// 500 if the temporary file can't be read.
    pub fn next_run(&mut self) -> Result<Option<String>, ErrorModel> {
        Ok(self.next_text()?.map(|run| run.to_json()))
    }

    /// The next run, in texts that stay until the next call.
    pub(crate) fn next_text(&mut self) -> Result<Option<RunText<'_>>, ErrorModel> {
        let mut length = [0; packed::LENGTH];
        match self.spool.read_exact(&mut length) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read.map_err(failed)?,
        }
        let damaged = || failed(io::Error::other("it is damaged"));
        self.packed.resize(packed::length(length).ok_or_else(damaged)?, 0);
        self.spool.read_exact(&mut self.packed).map_err(failed)?;
        packed::unpack(&self.packed).map(Some).ok_or_else(damaged)
    }
}

fn failed(error: io::Error) -> ErrorModel {
    let folder = std::env::temp_dir();
    ErrorModel::new(500, format!("the runs can't be kept in a temporary file in {}: {error}", folder.display()))
}
