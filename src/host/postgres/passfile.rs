//! libpq's password file: `~/.pgpass`, or what `PGPASSFILE` names.

use std::fs;
use std::path::{Path, PathBuf};

use tokio_postgres::Config;
use tokio_postgres::config::Host;

/// The password of the first line that fits: `host:port:database:user:password`, where `*` fits all.
pub(super) fn find(config: &Config, variable: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let file = match variable("PGPASSFILE") {
        Some(file) => PathBuf::from(file),
        None => Path::new(&variable("HOME")?).join(".pgpass"),
    };
    if is_open_to_others(&file) {
        tracing::warn!("{} is not used, since others may read it; chmod 0600 mends that", file.display());
        return None;
    }
    let lines = fs::read_to_string(file).ok()?;
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        // libpq's word for a socket in the file system.
        Some(Host::Unix(_)) => "localhost".to_owned(),
        None => config.get_hostaddrs().first()?.to_string(),
    };
    let port = config.get_ports().first().map_or("5432".to_owned(), u16::to_string);
    let user = config.get_user().map(str::to_owned).or_else(|| variable("USER"))?;
    let database = config.get_dbname().unwrap_or(&user);
    let wanted = [&host, &port, database, &user];
    lines.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let fields = fields(line);
        let fits = |(field, wanted): (&String, &&str)| field == "*" || field == *wanted;
        (fields.len() == 5 && fields.iter().zip(&wanted).all(fits)).then(|| fields[4].clone())
    })
}

/// A line's fields; a backslash takes a colon's or another backslash's meaning away.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            ':' if fields.len() < 5 => fields.push(String::new()),
            '\\' => fields.last_mut().into_iter().for_each(|field| field.extend(characters.next())),
            other => fields.last_mut().into_iter().for_each(|field| field.push(other)),
        }
    }
    fields
}

#[cfg(unix)]
fn is_open_to_others(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(file).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_open_to_others(_: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits_has_the_password() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pass");
        fs::write(&file, "# mine\nother:5432:jobs:ann:no\ndb:*:jobs:ann:se\\:cr\\\\et\n*:*:*:*:any\n").unwrap();
        let find =
            |url: &str| find(&url.parse().unwrap(), &|name| (name == "PGPASSFILE").then(|| file.display().to_string()));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
            assert_eq!(find("postgres://ann@db/jobs"), None, "others may read it");
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        }
        assert_eq!(find("postgres://ann@db:6000/jobs").as_deref(), Some("se:cr\\et"));
        assert_eq!(find("postgres://bob@db/jobs").as_deref(), Some("any"));
    }
}
