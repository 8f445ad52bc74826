//! The ids that a call's new runs get, where the profile's statement takes them from us.

use super::profile::SpawnParameter;

/// How a statement wants them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum IdKind {
    Ulid,
    Uuid,
}

impl IdKind {
    /// As these parameters say; `None` without such a parameter. Two spellings would be two ids.
    pub(super) fn of(parameters: &[SpawnParameter]) -> Result<Option<IdKind>, String> {
        let takes = |parameter| parameters.contains(&parameter);
        match (takes(SpawnParameter::NewId), takes(SpawnParameter::NewUuid)) {
            (true, true) => Err("the new run has one id: take either :new_id or :new_uuid".to_owned()),
            (true, false) => Ok(Some(IdKind::Ulid)),
            (false, true) => Ok(Some(IdKind::Uuid)),
            (false, false) => Ok(None),
        }
    }
}

/// New ids. They sort as they were made, whatever their spelling, so that a call's new runs sort as its source runs do,
/// and an index takes them at its end, which is its fastest place.
pub(super) struct NewIds {
    ulids: ulid::Generator,
    kind: IdKind,
}

impl NewIds {
    pub(super) fn new(kind: Option<IdKind>) -> Self {
        NewIds { ulids: ulid::Generator::new(), kind: kind.unwrap_or(IdKind::Ulid) }
    }

    pub(super) fn next(&mut self) -> String {
        let ulid = self.ulids.generate().unwrap_or_else(|_| ulid::Ulid::generate());
        match self.kind {
            IdKind::Ulid => ulid.to_string(),
            IdKind::Uuid => {
                // Version 7 has a ULID's milliseconds and counts in the same place, the end; between them it says what it is.
                let [_, _, _, _, _, _, random @ ..] = ulid.to_bytes();
                uuid::Builder::from_unix_timestamp_millis(ulid.timestamp_ms(), &random).into_uuid().to_string()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_ids_are_of_their_kind_and_sort_as_they_were_made() {
        for (spelling, length) in [(Some(IdKind::Ulid), 26), (Some(IdKind::Uuid), 36), (None, 26)] {
            let mut new_ids = NewIds::new(spelling);
            let made: Vec<String> = (0..10_000).map(|_| new_ids.next()).collect();
            assert!(made.is_sorted_by(|one, next| one < next), "{spelling:?}");
            assert!(made.iter().all(|id| id.len() == length), "{spelling:?}: {}", made[0]);
        }
        let uuid: uuid::Uuid = NewIds::new(Some(IdKind::Uuid)).next().parse().unwrap();
        assert_eq!((uuid.get_version_num(), uuid.get_variant()), (7, uuid::Variant::RFC4122));
        let (seconds, _) = uuid.get_timestamp().unwrap().to_unix();
        assert!(seconds.abs_diff(chrono::Utc::now().timestamp().unsigned_abs()) <= 2, "{uuid}");
    }
}
