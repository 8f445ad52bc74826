//! A first line as a store's address, further ones as libpq's variables: nothing that is a password is shown.

use bulk_rerun::fuzzing::read_address;

/// Stands somewhere in a password.
const SECRET: &str = "s3cret";

/// Variables that name a file, or a folder.
const FILES: [&str; 7] =
    ["PGPASSFILE", "PGSERVICEFILE", "PGSYSCONFDIR", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY", "HOME"];

/// Whether the secret stands once, and where libpq, too, takes it for a password's.
fn is_hidden(url: &str, variables: &[(&str, &str)], text: &str) -> bool {
    if text.matches(SECRET).count() != 1 {
        return false;
    }
    if variables.iter().any(|(name, value)| *name == "PGPASSWORD" && value.contains(SECRET)) {
        return true;
    }
    let Some(at) = url.find(SECRET) else { return false };
    let user = url.split_once("//").and_then(|(scheme, rest)| {
        let (begin, user) = (scheme.len() + 2, rest.split_once('@')?.0);
        // A slash or a question mark ends what is in front of a host, in libpq as well.
        let colon = user.find(':').filter(|_| !url[begin..at.max(begin)].contains(['/', '?']))?;
        Some(begin + colon..begin + user.len())
    });
    let in_user = user.is_some_and(|user| user.contains(&at));
    let parameters = url.split_once('?').filter(|_| !url.contains('@')).map_or(url.len(), |(path, _)| path.len());
    let begin = url[..at].rfind(['?', '&']).filter(|&begin| begin >= parameters);
    let in_parameter = begin.is_some_and(|begin| url[begin + 1..at].starts_with("password="));
    in_user || in_parameter
}

pub fn run(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let mut lines = text.lines();
    let url = lines.next().unwrap_or_default();
    // All else is a file's name.
    if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
        return;
    }
    let variables: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once('=')).collect();
    let find = |name: &str| {
        let found = variables.iter().find(|(known, value)| *known == name && !value.is_empty());
        // The files are not the fuzzer's to choose.
        found.filter(|_| !FILES.contains(&name)).map(|(_, value)| (*value).to_owned())
    };
    let shown = match read_address(url, &find) {
        Ok(address) => address,
        Err(error) => error,
    };
    assert!(!shown.is_empty());
    if is_hidden(url, &variables, text) {
        assert!(!shown.contains(SECRET), "{shown}");
    }
}
