//! Tables for people: without lines, indented, and on a terminal no wider than that.

use std::io::{self, Write};

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::output::{DIM, People, printable};

/// On a terminal, so many rows of a table are shown; elsewhere all.
const ROWS_ON_A_TERMINAL: usize = 40;

const INDENT: usize = 2;
const GAP: usize = 2;

/// What a column holds, and so how it gives way where the terminal is too narrow.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    /// A few words, or a name.
    Text(&'static str),
    /// As much as there is to say: it gives way first.
    Detail(&'static str),
    /// A number, at the right, which never gives way.
    Number(&'static str),
    /// A time in RFC 3339; where it gives way, month to minute.
    Time(&'static str),
    /// What somebody copies, such as the id of a run: it gives way where even two columns are too many.
    Id(&'static str),
}

impl Column {
    fn title(self) -> &'static str {
        match self {
            Column::Text(title)
            | Column::Detail(title)
            | Column::Number(title)
            | Column::Time(title)
            | Column::Id(title) => title,
        }
    }

    /// How wide it still is in each stage of giving way; `None` where it is not its turn.
    fn least(self, is_first: bool) -> [Option<usize>; STAGES] {
        match self {
            // It says what the row is of.
            Column::Text(_) if is_first => [None, None, Some(16), Some(16), Some(8)],
            Column::Detail(_) => [Some(8); STAGES],
            Column::Time(_) => [None, Some(MONTH_TO_MINUTE.len()), None, None, None],
            Column::Text(_) => [None, None, Some(14), Some(8), Some(8)],
            Column::Id(_) => [None, None, None, None, Some(8)],
            Column::Number(_) => [None; STAGES],
        }
    }
}

/// In so many stages columns give way.
const STAGES: usize = 5;

/// Where that is in a time that is written to the second.
const MONTH_TO_MINUTE: std::ops::Range<usize> = 5..16;

/// Prints a table; on a terminal it is made to fit, a long one is cut, and it says so.
pub(super) fn print_table(out: &mut People, columns: &[Column], rows: Vec<Vec<String>>) -> io::Result<()> {
    let shown = if out.is_terminal() { ROWS_ON_A_TERMINAL } else { usize::MAX };
    print_rows(out, columns, rows, shown)
}

/// The same for somebody who has said how long it may be.
pub(super) fn print_whole_table(out: &mut People, columns: &[Column], rows: Vec<Vec<String>>) -> io::Result<()> {
    print_rows(out, columns, rows, usize::MAX)
}

fn print_rows(out: &mut People, columns: &[Column], rows: Vec<Vec<String>>, shown: usize) -> io::Result<()> {
    let all = rows.len();
    let shown = all.min(shown);
    let titles = columns.iter().map(|column| column.title().to_owned()).collect();
    let rows = rows.into_iter().take(shown).map(|row| row.iter().map(|text| printable(text)).collect());
    let rows: Vec<Vec<String>> = std::iter::once(titles).chain(rows).collect();

    let wanted: Vec<usize> =
        (0..columns.len()).map(|index| rows.iter().map(|row| row[index].width()).max().unwrap_or_default()).collect();
    let widths = match out.width() {
        Some(width) => fit(&wanted, columns, width.saturating_sub(INDENT)),
        None => wanted.clone(),
    };
    for row in rows {
        let cells = row.iter().zip(columns).zip(&widths).map(|((text, column), &width)| cell(text, *column, width));
        let line = cells.collect::<Vec<_>>().join(&" ".repeat(GAP));
        writeln!(out, "{:INDENT$}{}", "", line.trim_end())?;
    }
    if shown < all {
        writeln!(out, "  {DIM}… and {} more; --json lists all{DIM:#}", all - shown)?;
    }
    if widths != wanted {
        writeln!(out, "  {DIM}(cut to fit the terminal; --wide shows all of it){DIM:#}")?;
    }
    Ok(())
}

/// The widths of as many columns as there is room for: the last ones go where the others could not be read any more.
fn fit(wanted: &[usize], columns: &[Column], available: usize) -> Vec<usize> {
    let mut shown = columns.len();
    loop {
        let mut widths = wanted[..shown].to_vec();
        let stages = if shown > 2 { STAGES - 1 } else { STAGES };
        if narrow(&mut widths, columns, available.saturating_sub(GAP * shown.saturating_sub(1)), stages) || shown <= 2 {
            return widths;
        }
        shown -= 1;
    }
}

/// Makes columns narrower until they fit, if they can: in each stage always the widest of those whose turn it is.
fn narrow(widths: &mut [usize], columns: &[Column], available: usize, stages: usize) -> bool {
    for stage in 0..stages {
        while widths.iter().sum::<usize>() > available {
            let turn = columns.iter().zip(widths.iter_mut()).enumerate().filter_map(|(index, (column, width))| {
                let least = column.least(index == 0)[stage]?;
                (*width > least).then_some((column, least, width))
            });
            match turn.max_by_key(|(_, _, width)| **width) {
                // It has two shapes, and none in between.
                Some((Column::Time(_), least, width)) => *width = least,
                Some((_, _, width)) => *width -= 1,
                None => break,
            }
        }
    }
    widths.iter().sum::<usize>() <= available
}

/// A text in a column's width: cut, or filled with blanks.
fn cell(text: &str, column: Column, width: usize) -> String {
    let text = match column {
        Column::Time(title) if text != title && text.len() > width => text.get(MONTH_TO_MINUTE).unwrap_or(text),
        _ => text,
    };
    let text = cut(text, width);
    let blanks = " ".repeat(width.saturating_sub(text.width()));
    match column {
        Column::Number(_) => blanks + &text,
        _ => text + &blanks,
    }
}

fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let fits = |sign: &char| {
        let fits = sign.width().unwrap_or_default() <= left;
        left = left.saturating_sub(sign.width().unwrap_or_default());
        fits
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_give_way_first() {
        let columns = [
            Column::Text("TASK"),
            Column::Id("RUN"),
            Column::Time("CREATED"),
            Column::Number("RUNS"),
            Column::Detail("PARAMETERS"),
        ];
        for (available, expected) in [
            (200, [20, 26, 20, 4, 60]),
            (100, [20, 26, 20, 4, 30]),
            (78, [20, 26, 20, 4, 8]),
            (77, [20, 26, 11, 4, 8]),
            (66, [17, 26, 11, 4, 8]),
            (65, [16, 26, 11, 4, 8]),
        ] {
            assert_eq!(fit(&[20, 26, 20, 4, 60], &columns, available + 4 * GAP), expected, "{available}");
        }
    }

    #[test]
    fn the_last_columns_go_where_there_is_no_room_for_all() {
        let columns = [Column::Text("TASK"), Column::Id("RUN"), Column::Text("NOW"), Column::Id("RE-RUN OF")];
        for (available, expected) in
            [(80, &[20, 26, 7, 26][..]), (75, &[16, 26, 7, 26]), (74, &[20, 26, 7]), (40, &[18, 26]), (20, &[12, 12])]
        {
            assert_eq!(fit(&[20, 26, 7, 26], &columns, available + 3 * GAP), expected, "{available}");
        }
    }

    #[test]
    fn a_time_that_gives_way_says_month_to_minute() {
        let time = Column::Time("NEWEST FAILURE");
        assert_eq!(cell("2026-11-28T01:40:30Z", time, 20), "2026-11-28T01:40:30Z");
        assert_eq!(cell("2026-11-28T01:40:30Z", time, 11), "11-28T01:40");
        assert_eq!(cell("NEWEST FAILURE", time, 11), "NEWEST FAI…");
        assert_eq!(cell("?", time, 11), "?          ");
    }

    #[test]
    fn wide_signs_are_cut_by_their_width() {
        assert_eq!(cut("株式会社", 8), "株式会社");
        assert_eq!(cut("株式会社", 7), "株式会…");
        assert_eq!(cut("株式会社", 6), "株式…");
        assert_eq!(cut("abc", 2), "a…");
    }
}
