//! libpq's password file: `~/.pgpass`, or what `PGPASSFILE` names.

use std::fs;
use std::path::{Path, PathBuf};

use tokio_postgres::Config;
use tokio_postgres::config::Host;

use super::address::SOCKETS;

/// Its lines.
pub(super) struct Passfile(String);

impl Passfile {
    /// The file that is named, else libpq's own; none where there is none, or where others may read it.
    pub(super) fn read(named: Option<&str>, variable: &dyn Fn(&str) -> Option<String>) -> Option<Passfile> {
        let file = match named {
            Some(file) => PathBuf::from(file),
            None => Path::new(&variable("HOME")?).join(".pgpass"),
        };
        if is_open_to_others(&file) {
            tracing::warn!("{} is not used, since others may read it; chmod 0600 mends that", file.display());
            return None;
        }
        fs::read_to_string(file).ok().map(Passfile)
    }

    /// A server's password, in the first line that fits: `host:port:database:user:password`, where `*` fits all.
    pub(super) fn password(&self, server: &Config, variable: &dyn Fn(&str) -> Option<String>) -> Option<String> {
        let host = match server.get_hosts().first() {
            Some(Host::Tcp(name)) => name.clone(),
            // libpq's word for the socket where it is by default.
            Some(Host::Unix(folder)) if folder == Path::new(SOCKETS) => "localhost".to_owned(),
            Some(Host::Unix(folder)) => folder.display().to_string(),
            None => server.get_hostaddrs().first()?.to_string(),
        };
        let port = server.get_ports().first().map_or("5432".to_owned(), u16::to_string);
        let user = server.get_user().map(str::to_owned).or_else(|| variable("USER"))?;
        let database = server.get_dbname().unwrap_or(&user);
        let wanted = [&host, &port, database, &user];
        self.0.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
            let fields = fields(line);
            let fits = |(field, wanted): (&String, &&str)| field == "*" || field == *wanted;
            (fields.len() == 5 && fields.iter().zip(&wanted).all(fits)).then(|| fields[4].clone())
        })
    }
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
        fs::write(
            &file,
            "# mine\nother:5432:jobs:ann:no\nlocalhost:*:*:*:here\n/run/x:*:*:*:there\n\
                    db:*:jobs:ann:se\\:cr\\\\et\n*:*:*:*:any\n",
        )
        .unwrap();
        let find = |url: &str| {
            let passfile = Passfile::read(file.to_str(), &|_| None)?;
            passfile.password(&url.parse().unwrap(), &|_| None)
        };
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
            assert_eq!(find("postgres://ann@db/jobs"), None, "others may read it");
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        }
        assert_eq!(find("postgres://ann@db:6000/jobs").as_deref(), Some("se:cr\\et"));
        assert_eq!(find("postgres://bob@db/jobs").as_deref(), Some("any"));
        // As psql of PostgreSQL 15 has it.
        assert_eq!(find(&format!("postgres://bob@{}/jobs", SOCKETS.replace('/', "%2F"))).as_deref(), Some("here"));
        assert_eq!(find("postgres://bob@%2Frun%2Fx/jobs").as_deref(), Some("there"));
    }
}
