//! Searches in a pg-boss store of a million jobs (`--runs 10000000`: of ten), each beside the best SQL that was found by hand
//! for the same question: of each queue the newest job that is meant, its data, and how many are.

use std::time::Instant;

use bulk_rerun::{Config, Plugin};
use comfy_table::Table;
use serde_json::{Value, json};

use crate::postgres::{Client, Database};
use crate::{middle, table};

/// Ninety days of 200 queues, few of them large; 5 % failed, 0.1 % waiting; data of 200 to 1,200 bytes.
const FILL: &str = "
    INSERT INTO pgboss.queue (name, policy, retry_limit, retry_delay, retry_backoff, expire_seconds, retention_seconds,
                              deletion_seconds, partition, table_name)
    SELECT 'queue-' || n, 'standard', 2, 0, false, 900, 1209600, 604800, false, 'job_common' FROM generate_series(1, 200) AS n;
    SELECT setseed(0.5);
    INSERT INTO pgboss.job_common (name, data, state, policy, created_on, start_after, started_on, completed_on)
    SELECT 'queue-' || 1 + floor(200 * power(random(), 2)),
           jsonb_build_object('tenant', n % 500, 'pad', repeat(md5((n % 50000)::text), 6 + n % 30)),
           CASE WHEN chance < 0.05 THEN 'failed' WHEN chance < 0.051 THEN 'created' ELSE 'completed' END::pgboss.job_state,
           'standard', at, at, at, at
    FROM (SELECT n, random() AS chance, now() - random() * interval '90 days' AS at FROM generate_series(1, $1) AS n) AS job;
    VACUUM ANALYZE pgboss.job_common; CHECKPOINT";

/// The newest of each queue, and how many there are, where `$1` holds.
const NEWEST: &str = "
    SELECT counted.*, id, data
    FROM (SELECT name, count(*), max(created_on) AS created_on FROM pgboss.job WHERE $1 GROUP BY name) AS counted
    JOIN pgboss.job USING (name, created_on) WHERE $1";

/// The same, where a few are meant.
const NEWEST_OF_FEW: &str = "
    SELECT DISTINCT ON (name) name, count(*) OVER (PARTITION BY name), created_on, id, data
    FROM pgboss.job WHERE $1 ORDER BY name, created_on DESC, id DESC";

const OF_EACH_DATA: &str = "
    SELECT DISTINCT ON (name, digest) name, digest, count(*) OVER (PARTITION BY name, digest), created_on, id
    FROM (SELECT name, md5(data::text) AS digest, created_on, id FROM pgboss.job WHERE $1) AS job
    ORDER BY name, digest, created_on DESC, id DESC";

const FAILED: &str = "state = 'failed'";
const LAST_DAY: &str = "state = 'failed' AND created_on >= now() - interval '1 day'";

/// A question, ours as a request and theirs in SQL.
struct Search {
    name: String,
    request: Value,
    sql: String,
}

fn searches(client: &Client, runs: u32) -> Vec<Search> {
    let by = |form: &str, condition: &str| form.replace("$1", condition);
    let search = |name: &str, filter: Value, options: Value, sql: String| {
        let mut options = options;
        options["dry_run"] = true.into();
        Search { name: name.to_owned(), request: json!({"match_all": true, "filter": filter, "options": options}), sql }
    };
    let failed = || json!({"status": "failed"});
    let day = chrono::Utc::now() - chrono::TimeDelta::days(1);
    let last_day = || json!({"status": "failed", "created_after": day.to_rfc3339()});
    let sources = by(NEWEST_OF_FEW, LAST_DAY);
    let mut searches = vec![
        search("all", json!({}), json!({}), by(NEWEST, "true")),
        search("failed", failed(), json!({}), by(NEWEST, FAILED)),
        search("failed, last day", last_day(), json!({}), sources.clone()),
        search(
            "failed, one task",
            json!({"status": "failed", "task_name": "queue-50"}),
            json!({}),
            by(NEWEST_OF_FEW, "state = 'failed' AND name = 'queue-50'"),
        ),
        search(
            "a text",
            json!({"search": "e-19"}),
            json!({}),
            by(NEWEST, r#"(strpos(lower(name COLLATE "C"), 'e-19') > 0 OR strpos(id::text, 'e-19') > 0)"#),
        ),
        search("failed, unique by params", failed(), json!({"unique_by": "params"}), by(OF_EACH_DATA, FAILED)),
        search(
            "failed, unique by run",
            failed(),
            json!({"unique_by": "run"}),
            format!("SELECT name, id, created_on, data FROM pgboss.job WHERE {FAILED}"),
        ),
        search(
            "failed, last day, not superseded",
            last_day(),
            json!({"skip_superseded": true}),
            format!(
                "SELECT source.*, newest.state FROM ({sources}) AS source, LATERAL
                     (SELECT state FROM pgboss.job WHERE name = source.name ORDER BY created_on DESC, id DESC LIMIT 1) AS newest"
            ),
        ),
        search(
            "failed, last day, not active",
            last_day(),
            json!({"skip_active": true}),
            format!(
                "SELECT * FROM ({sources}) AS source WHERE NOT EXISTS
                     (SELECT FROM pgboss.job WHERE name = source.name AND state IN ('created', 'retry', 'active'))"
            ),
        ),
    ];
    for many in [1_000, 100_000].into_iter().filter(|many| *many <= runs) {
        let ids = client.rows(&format!("SELECT id FROM pgboss.job ORDER BY md5(id::text) LIMIT {many}"));
        let ids: Vec<String> = ids.into_iter().flatten().flatten().collect();
        let condition = format!("id IN (SELECT unnest('{{{}}}'::uuid[]))", ids.join(","));
        searches.push(Search {
            name: format!("{many} ids"),
            request: json!({"ids": ids, "options": {"dry_run": true}}),
            sql: by(NEWEST_OF_FEW, &condition),
        });
    }
    searches
}

/// Milliseconds, the median of so many turns; ours and theirs take turns.
pub fn beside_sql(database: &Database, runs: u32, turns: usize) -> Table {
    let client = database.client();
    eprintln!("pg-boss: {runs} jobs are made");
    FILL.replace("$1", &runs.to_string()).split_inclusive(';').for_each(|statement| client.execute(statement));
    let plugin = Plugin::open(&Config::new(&database.url)).expect("the store");
    let mut table = table(["search", "SQL by hand, ms", "ours, ms", "ours / by hand", "goal"]);
    for Search { name, request, sql } in searches(&client, runs) {
        eprintln!("{name}");
        let request = request.to_string();
        let mut times: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
        for _ in 0..turns {
            let begun = Instant::now();
            client.rows(&sql);
            times[0].push(begun.elapsed().as_secs_f64() * 1_000.0);
            let begun = Instant::now();
            plugin.call(request.as_bytes()).expect("an answer");
            times[1].push(begun.elapsed().as_secs_f64() * 1_000.0);
        }
        let [by_hand, ours] = times.map(|mut times| middle(&mut times).expect("both take their turns"));
        let cells = [name, format!("{by_hand:.1}"), format!("{ours:.1}"), format!("{:.2}×", ours / by_hand)];
        table.add_row(cells.into_iter().chain(["≤ 1.5×".to_owned()]));
    }
    table
}
