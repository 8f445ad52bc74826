use bulk_rerun::{Config, Plugin};

fn main() -> Result<(), bulk_rerun::ErrorModel> {
    let plugin = Plugin::open(&Config::new("demo/runwisp.db"))?;
    let answer = plugin.call(br#"{"match_all": true, "filter": {"status": "failed", "task_name": "reconcile-payments"}}"#)?;
    println!("{answer}");
    Ok(())
}
