//! Whether a view's columns can be read as what they mean: else each search would fail, and say less.

use tokio_postgres::error::ErrorPosition;

use super::dialect::Postgres;
use super::fit::{Fitting, failure};
use super::ids::IdType;
use crate::host::HostError;
use crate::host::profile::{CANONICAL_COLUMNS, Generation, Profile};
use crate::host::view::{Dialect, View};

/// The columns that are read in a type of our choice.
const TYPED: [&str; 4] = ["exit_code", "retry_attempt", "is_failure", "deleted"];

impl Fitting<'_> {
    pub(super) fn check_columns_types(
        &self,
        profile: &Profile,
        generation: &Generation,
        view: &View,
        id_type: &IdType,
    ) -> Result<(), HostError> {
        const DOING: &str = "checking the profile";
        let prepare = |sql: String| self.connection.wait_for(self.connection.client().prepare(&sql));
        let has = |name: &&str| CANONICAL_COLUMNS.contains(name) || view.has(name);
        let mut sql = "SELECT NULL".to_owned();
        let mut places = Vec::new();
        for name in TYPED.into_iter().filter(has) {
            sql += ", ";
            places.push((sql.len(), name));
            sql += &match name {
                "deleted" => "deleted IS NOT TRUE".to_owned(),
                name => Postgres(id_type).column(name),
            };
        }
        let Err(error) = prepare(format!("{sql} FROM (\n{}\n) AS run", view.runs)) else { return Ok(()) };
        let place = error.as_db_error().and_then(|said| match said.position() {
            Some(ErrorPosition::Original(place)) => Some(*place as usize),
            _ => None,
        });
        let column = places.iter().rev().find(|(start, _)| place.is_some_and(|place| place > *start));
        let column = column.map(|(_, name)| format!("the column {name} is of the wrong type: ")).unwrap_or_default();
        let fails = |message| failure(profile, generation, "runs", format!("{column}{message}"));
        Err(self.wrong_with(DOING, error, &fails))
    }
}
