//! The runner's table, for each kind of key and each way to start a run again.

use bulk_rerun::{Config, Plugin};

use crate::postgres::{Client, Database};
use crate::support::model::call::Change;
use crate::support::model::request::rfc3339;
use crate::support::model::{Act, Fate, Ids, NewRow, Run, Value};

/// A key's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    Bigint,
    Uuid,
    Text,
    /// Text that is equal to the engine, whatever the case.
    NoCase,
    Bytea,
}

/// How a run is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Spawn {
    /// One by one; the statement takes our id, or returns its own.
    Ours,
    Returned,
    /// All in one statement, with our ids; or it returns those that are there, or those that it has drawn.
    ManyOurs,
    ManyReturned,
    ManyDrawn,
}

pub const SHAPES: [(Key, Spawn); 12] = [
    (Key::Bigint, Spawn::Returned),
    (Key::Bigint, Spawn::ManyReturned),
    (Key::Bigint, Spawn::ManyDrawn),
    (Key::Uuid, Spawn::Ours),
    (Key::Uuid, Spawn::Returned),
    (Key::Uuid, Spawn::ManyOurs),
    (Key::Text, Spawn::Ours),
    (Key::Text, Spawn::Returned),
    (Key::Text, Spawn::ManyOurs),
    (Key::NoCase, Spawn::Ours),
    (Key::NoCase, Spawn::ManyOurs),
    (Key::Bytea, Spawn::Returned),
];

impl Key {
    fn sql(self) -> &'static str {
        match self {
            Key::Bigint => "bigint",
            Key::Uuid => "uuid",
            Key::Text => "text",
            Key::NoCase => "text COLLATE nocase",
            Key::Bytea => "bytea",
        }
    }

    /// A new id of the host's own.
    fn drawn(self) -> &'static str {
        match self {
            Key::Bigint => "nextval('numbers')",
            Key::Uuid => "gen_random_uuid()",
            Key::Text | Key::NoCase => "'new-' || gen_random_uuid()::text",
            Key::Bytea => "convert_to('new-' || gen_random_uuid()::text, 'UTF8')",
        }
    }

    fn table(self) -> String {
        format!("job_{self:?}").to_lowercase()
    }
}

/// The tables, and the host's trigger: what it does is in the table `rule`, by the queue's name.
pub fn schema() -> String {
    let mut sql = "CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
        CREATE SEQUENCE numbers START 1000;
        CREATE TABLE rule (queue text COLLATE \"C\" PRIMARY KEY, act text NOT NULL);"
        .to_owned();
    for key in [Key::Bigint, Key::Uuid, Key::Text, Key::NoCase, Key::Bytea] {
        let (table, kind, drawn) = (key.table(), key.sql(), key.drawn());
        let queue = if key == Key::NoCase { kind } else { "text" };
        let payload = if key == Key::Bytea { "bytea" } else { "text" };
        sql += &format!(
            "CREATE TABLE {table} (serial bigint GENERATED ALWAYS AS IDENTITY, queue {queue}, id {kind}, state text,
                 reason text, code int, origin text, created timestamptz, tries int, payload {payload}, mark boolean,
                 why text, removed timestamptz, shown int NOT NULL DEFAULT 1);
             CREATE INDEX ON {table} (queue, id);
             CREATE FUNCTION {table}_rules() RETURNS trigger LANGUAGE plpgsql AS $$
             DECLARE what text := (SELECT act FROM rule WHERE queue = NEW.queue COLLATE \"C\");
             BEGIN
                 IF what = 'Declines' THEN RAISE EXCEPTION 'the queue is closed'; END IF;
                 IF what = 'Swallows' THEN RETURN NULL; END IF;
                 IF what = 'Renames' THEN NEW.id := {drawn}; END IF;
                 IF what = 'Ends' THEN NEW.state := 'ended'; NEW.reason := 'failed'; END IF;
                 IF what = 'Hides' THEN NEW.removed := now(); END IF;
                 RETURN NEW;
             END $$;
             CREATE TRIGGER rules BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_rules();"
        );
    }
    sql
}

/// How a bytea key looks outside: as its text, or as PostgreSQL prints it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outside {
    Text,
    Hex,
}

pub struct Table {
    pub key: Key,
    pub spawn: Spawn,
    pub outside: Outside,
    pub plugin: Plugin,
}

fn literal(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Text(bytes) => quoted(std::str::from_utf8(bytes).unwrap()),
        Value::Blob(bytes) => {
            format!("'\\x{}'", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        }
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn optional(text: &Option<String>) -> String {
    text.as_deref().map_or("NULL".to_owned(), quoted)
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits = text.strip_prefix("\\x").unwrap();
    (0..digits.len()).step_by(2).map(|place| u8::from_str_radix(&digits[place..place + 2], 16).unwrap()).collect()
}

impl Table {
    pub fn open(database: &Database, folder: &std::path::Path, (key, spawn): (Key, Spawn), outside: Outside) -> Table {
        let file = folder.join(format!("{key:?}-{spawn:?}-{outside:?}.toml"));
        std::fs::write(&file, profile(key, spawn, outside)).unwrap();
        let config = Config { profile: Some(file.display().to_string()), ..Config::new(&database.url) };
        let plugin = Plugin::open(&config).unwrap_or_else(|error| panic!("{key:?} {spawn:?}: {error}"));
        Table { key, spawn, outside, plugin }
    }

    /// A run's id as the core sees it.
    pub fn id(&self, id: &Value) -> Value {
        match (id, self.outside) {
            (Value::Blob(_), Outside::Hex) => Value::text(literal(id).trim_matches('\'')),
            (id, _) => id.clone(),
        }
    }

    /// The statement that inserts a run. `stored` has its id as the table keeps it.
    pub fn insert(&self, stored: &Run) -> String {
        format!(
            "INSERT INTO {} (queue, id, state, reason, code, origin, created, tries, payload, mark, why, removed, shown)
             VALUES ({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {});",
            self.key.table(),
            literal(&stored.task),
            literal(&stored.id),
            quoted(&stored.phase),
            optional(&stored.end_reason),
            stored.exit_code.map_or("NULL".to_owned(), |code| code.to_string()),
            optional(&stored.triggered_by),
            optional(&stored.instant.map(rfc3339)),
            stored.retry_attempt,
            literal(&stored.params),
            stored.mark.map_or("NULL".to_owned(), |mark| mark.to_string()),
            optional(&stored.unfit),
            if stored.deleted { "now()" } else { "NULL" },
            stored.times,
        )
    }

    /// The statements that put these runs in place of those that are there.
    pub fn fill(&self, stored: &[Run]) -> String {
        let table = self.key.table();
        let rows: String = stored.iter().map(|run| self.insert(run)).collect();
        format!("BEGIN; DELETE FROM rule; DELETE FROM {table}; ALTER TABLE {table} ALTER serial RESTART; {rows} COMMIT")
    }

    pub fn arm(&self, acts: &[(Value, Act)]) -> String {
        acts.iter().map(|(task, act)| format!("INSERT INTO rule VALUES ({}, '{act:?}');", literal(task))).collect()
    }

    /// The statements by which somebody else changes a run; they are numbered from 1.
    pub fn change(&self, change: &Change, appearing: &Run) -> String {
        let on =
            |place: &usize, what: &str| format!("UPDATE {} SET {what} WHERE serial = {};", self.key.table(), place + 1);
        match change {
            Change::Deleted(place) => format!("DELETE FROM {} WHERE serial = {};", self.key.table(), place + 1),
            Change::SoftDeleted(place) => on(place, "removed = now()"),
            Change::Renamed(place, task) => on(place, &format!("queue = {}", literal(task))),
            Change::Parameters(place, params) => on(place, &format!("payload = {}", literal(params))),
            Change::Begins(place, phase) => on(place, &format!("state = '{phase}', reason = NULL")),
            Change::Appears(_) => self.insert(appearing),
        }
    }

    /// Every row; its key's columns, its phase and its parameters apart.
    pub fn dump(&self, client: &Client) -> Vec<Vec<Option<String>>> {
        let table = self.key.table();
        client.rows(&format!("SELECT queue, id, state, payload, {table}::text FROM {table} ORDER BY serial"))
    }

    pub fn new_row(&self, line: &[Option<String>]) -> NewRow {
        let text = |column: usize| line[column].as_deref().map_or(Value::Null, Value::text);
        let blob = |column: usize| line[column].as_deref().map_or(Value::Null, |text| Value::Blob(from_hex(text)));
        let (id, params) = match self.key {
            Key::Bigint => (Value::Integer(line[1].as_deref().unwrap().parse().unwrap()), text(3)),
            Key::Bytea => (self.id(&blob(1)), blob(3)),
            _ => (text(1), text(3)),
        };
        NewRow { task: text(0), id, phase: text(2), params }
    }

    pub fn fate(&self, act: Act) -> Fate {
        match self.spawn {
            Spawn::Ours | Spawn::ManyOurs => act.fate(Ids::Ours, true),
            Spawn::Returned => act.fate(Ids::Returned, true),
            Spawn::ManyReturned | Spawn::ManyDrawn => act.fate(Ids::Drawn, true),
        }
    }
}

fn profile(key: Key, spawn: Spawn, outside: Outside) -> String {
    let table = key.table();
    let (ours, binary) = match key {
        Key::Uuid => (":new_uuid::uuid", ""),
        Key::NoCase => (":new_id", " COLLATE \"C\""),
        _ => (":new_id", ""),
    };
    let (id, outside) = match (key, outside) {
        (Key::Bigint, _) => (":id::bigint", "id::text"),
        (Key::Uuid, _) => (":id::uuid", "id::text"),
        (Key::Bytea, Outside::Text) => ("convert_to(:id, 'UTF8')", "convert_from(id, 'UTF8')"),
        (Key::Bytea, Outside::Hex) => (":id::text::bytea", "id::text"),
        _ => (":id", "id"),
    };
    let (new, end) = match spawn {
        Spawn::Ours | Spawn::ManyOurs => (ours, String::new()),
        _ => (key.drawn(), format!("RETURNING {outside}")),
    };
    let columns = "(queue, id, state, created, tries, payload)";
    let one = format!(
        "INSERT INTO {table} {columns} SELECT queue, {new}, 'pending', :now::timestamptz, 0, payload
         FROM {table} WHERE queue{binary} = :task_name AND id{binary} = {id} {end}"
    );
    let id_list = format!(":id::{}[]", if key == Key::NoCase { "text" } else { key.sql() });
    let join = format!("JOIN {table} s ON s.queue{binary} = wanted.name AND s.id{binary} = wanted.id");
    let drawing = format!(
        "WITH source AS MATERIALIZED (
             SELECT s.queue, s.id, s.payload, nextval('numbers') AS new_id
             FROM unnest({id_list}, :task_name::text[]) WITH ORDINALITY AS wanted(id, name, place) {join} ORDER BY place
         ), started AS (
             INSERT INTO {table} {columns} SELECT queue, new_id, 'pending', :now::timestamptz, 0, payload FROM source
             RETURNING id
         )"
    );
    let new_list = if key == Key::Uuid { ":new_uuid::uuid[]" } else { ":new_id::text[]" };
    let many = match spawn {
        Spawn::Ours | Spawn::Returned => String::new(),
        Spawn::ManyOurs => format!(
            "INSERT INTO {table} {columns} SELECT s.queue, wanted.new_id, 'pending', :now::timestamptz, 0, s.payload
             FROM unnest({id_list}, :task_name::text[], {new_list}) AS wanted(id, name, new_id) {join}"
        ),
        Spawn::ManyReturned => {
            format!(
                "{drawing} SELECT source.id::text, started.id::text FROM source JOIN started ON started.id = new_id"
            )
        }
        Spawn::ManyDrawn => format!("{drawing} SELECT id::text, new_id::text FROM source"),
    };
    let many = if many.is_empty() { many } else { format!("spawn_many = '''\n{many}\n'''\n") };
    format!(
        "name = 'own'\nrunner = 'Own'\nengine = 'postgres'\n\n[[generation]]\nrequires.{table} = ['queue', 'id']\n\
         runs = '''\nSELECT id, queue AS task_name, state AS phase, reason AS end_reason, code AS exit_code,\n\
         origin AS triggered_by, created AS created_at, tries AS retry_attempt, payload AS params, mark AS is_failure,\n\
         why AS unfit, removed IS NOT NULL AS deleted\nFROM {table}, generate_series(1, shown)\n'''\n\
         spawn = '''\n{one}\n'''\n{many}"
    )
}
