//! What SQLite has learnt late, and a profile's statements may ask of an older one: the process's own, for the library.

/// Words of a statement, and the version that has them first. See <https://www.sqlite.org/changes.html>.
const LEARNT: [(&str, i32); 12] = [
    ("iif(", 3_032_000),
    ("generated always", 3_031_000),
    ("returning", 3_035_000),
    ("materialized", 3_035_000),
    ("->", 3_038_000),
    ("unixepoch(", 3_038_000),
    ("right join", 3_039_000),
    ("full join", 3_039_000),
    ("is distinct from", 3_039_000),
    ("is not distinct from", 3_039_000),
    ("string_agg(", 3_044_000),
    ("jsonb", 3_045_000),
];

/// What of a statement an SQLite of this version (3.40.1 is 3040001) is too old for, in words.
pub(super) fn needs_newer(statement: &str, version: i32) -> Option<String> {
    let statement = statement.to_lowercase();
    let (word, since) = LEARNT
        .into_iter()
        .filter(|(word, since)| version < *since && statement.contains(word))
        .max_by_key(|(_, since)| *since)?;
    let dotted = |number: i32| format!("{}.{}", number / 1_000_000, number / 1_000 % 1_000);
    Some(format!(
        ". It uses `{}`, which SQLite has from {} on; this process's is {}",
        word.trim_end_matches('('),
        dotted(since),
        dotted(version)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_older_one_lacks_is_named_with_the_version_that_has_it() {
        let statement = "INSERT INTO jobs SELECT args ->> 'n' FROM jobs\nRETURNING id";
        assert_eq!(needs_newer(statement, 3_038_000), None);
        let words = needs_newer(statement, 3_034_001).unwrap();
        assert!(words.contains("`->`") && words.contains("from 3.38 on") && words.contains("is 3.34"), "{words}");
        let words = needs_newer("INSERT INTO jobs DEFAULT VALUES Returning id", 3_034_001).unwrap();
        assert!(words.contains("`returning`") && words.contains("from 3.35 on"), "{words}");
        assert_eq!(needs_newer("SELECT 1", 3_000_000), None);
    }
}
