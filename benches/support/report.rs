//! The table that `cargo bench` prints.

use comfy_table::{Cell, CellAlignment, Table, presets};

/// Rows of figures, under sections.
pub struct Report(Table);

impl Report {
    pub fn new() -> Report {
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN);
        table.set_header(["", "peer", "limit", "dry run", "ours", "peer / ours", "ours / limit", "goal"]);
        for index in 1..7 {
            let column = table.column_mut(index).expect("the header has it");
            column.set_cell_alignment(CellAlignment::Right);
        }
        Report(table)
    }

    pub fn add(&mut self, row: &Row) {
        let figure = |value: Option<f64>| value.map(figure).unwrap_or_default();
        let times = |value: Option<f64>| value.map(|value| format!("{}×", self::figure(value))).unwrap_or_default();
        self.0.add_row([
            Cell::new(&row.name),
            Cell::new(figure(row.peer)),
            Cell::new(figure(row.limit)),
            Cell::new(figure(row.dry_run)),
            Cell::new(figure(row.ours)),
            Cell::new(times(row.peer_to_ours)),
            Cell::new(times(row.ours_to_limit)),
            Cell::new(&row.goal),
        ]);
    }

    pub fn print(&self) {
        println!("{}", self.0);
    }
}

/// One line: milliseconds (or megabytes) and their ratios; what was not measured is left blank.
#[derive(Default)]
pub struct Row {
    pub name: String,
    pub peer: Option<f64>,
    pub limit: Option<f64>,
    pub dry_run: Option<f64>,
    pub ours: Option<f64>,
    pub peer_to_ours: Option<f64>,
    pub ours_to_limit: Option<f64>,
    pub goal: String,
}

/// Three significant digits, more before the point.
fn figure(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
