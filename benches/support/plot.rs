//! What a search costs, drawn over the size of its store: both scales go by tens, so that twice the work is the same step
//! everywhere, and what grows with the store is a straight line.

use std::collections::BTreeMap;
use std::path::Path;

/// A search of a store of so many runs, in milliseconds.
pub struct Point {
    pub name: &'static str,
    pub runs: usize,
    pub ours: f64,
    pub limit: f64,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 460.0;
/// Where the axes begin and end.
const LEFT: f64 = 70.0;
const RIGHT: f64 = 560.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 410.0;

const COLOURS: [&str; 7] = ["#1b6ca8", "#c0392b", "#2e8b57", "#8e44ad", "#d68910", "#5d6d7e", "#148f77"];

/// An axis from one power of ten to another, as a part of its length.
struct Axis(f64, f64);

impl Axis {
    fn over(values: impl Iterator<Item = f64> + Clone) -> Axis {
        let (least, most) = (values.clone().fold(f64::MAX, f64::min), values.fold(0.0, f64::max));
        Axis(least.log10().floor(), most.log10().ceil())
    }

    fn at(&self, value: f64) -> f64 {
        (value.log10() - self.0) / (self.1 - self.0)
    }

    fn tens(&self) -> impl Iterator<Item = f64> {
        (self.0 as i32..=self.1 as i32).map(|power| 10_f64.powi(power))
    }
}

/// Ours is a line, SQLite's own limit the broken one of the same colour.
pub fn draw(points: &[Point], path: &Path) {
    let runs = Axis::over(points.iter().map(|point| point.runs as f64));
    let time = Axis::over(points.iter().flat_map(|point| [point.ours, point.limit]));
    let x = |value: f64| LEFT + runs.at(value) * (RIGHT - LEFT);
    let y = |value: f64| BOTTOM - time.at(value) * (BOTTOM - TOP);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\" fill=\"#333\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
    );
    let text = |x: f64, y: f64, anchor: &str, colour: &str, words: &str| {
        format!("<text x=\"{x:.0}\" y=\"{y:.0}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{words}</text>\n")
    };
    let line = |points: &str, style: &str| format!("<polyline points=\"{points}\" fill=\"none\" {style}/>\n");
    for ten in runs.tens() {
        svg += &line(&format!("{0:.0},{TOP} {0:.0},{BOTTOM}", x(ten)), "stroke=\"#ddd\"");
        svg += &text(x(ten), BOTTOM + 18.0, "middle", "#333", &super::resolve::short(ten as usize));
    }
    for ten in time.tens() {
        svg += &line(&format!("{LEFT},{0:.0} {RIGHT},{0:.0}", y(ten)), "stroke=\"#ddd\"");
        svg += &text(LEFT - 8.0, y(ten) + 4.0, "end", "#333", &format!("{ten} ms"));
    }
    svg += &text((LEFT + RIGHT) / 2.0, BOTTOM + 40.0, "middle", "#333", "runs in the store");
    let mut by_name: BTreeMap<&str, Vec<&Point>> = BTreeMap::new();
    points.iter().for_each(|point| by_name.entry(point.name).or_default().push(point));
    for (index, (name, points)) in by_name.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let ours: fn(&Point) -> f64 = |point| point.ours;
        let limit: fn(&Point) -> f64 = |point| point.limit;
        for (of, style) in [(ours, "stroke-width=\"2\""), (limit, "stroke-dasharray=\"3 4\"")] {
            let places: Vec<_> =
                points.iter().map(|point| format!("{:.1},{:.1}", x(point.runs as f64), y(of(point)))).collect();
            svg += &line(&places.join(" "), &format!("stroke=\"{colour}\" {style}"));
        }
        svg += &text(RIGHT + 20.0, TOP + 14.0 + 20.0 * index as f64, "start", colour, name);
    }
    let below = TOP + 34.0 + 20.0 * by_name.len() as f64;
    svg += &text(RIGHT + 20.0, below, "start", "#333", "——  ours");
    svg += &text(RIGHT + 20.0, below + 20.0, "start", "#333", "- - -  SQLite alone");
    std::fs::write(path, svg + "</svg>\n").expect("the plot is written");
}
