//! Rows under a heading, in columns as wide as they need to be.

use unicode_width::UnicodeWidthStr;

use super::style::Style;

/// The table as text. The cells have passed the terminal's filter before.
pub(super) fn table<const N: usize>(style: Style, heading: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = heading.map(UnicodeWidthStr::width);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    let line = |cells: [&str; N]| {
        let mut line = String::new();
        for (cell, width) in cells.iter().zip(widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(width.saturating_sub(cell.width()) + 2));
        }
        line.trim_end().to_owned()
    };
    let mut lines = vec![style.dim(&line(heading))];
    lines.extend(rows.iter().map(|row| line(row.each_ref().map(String::as_str))));
    lines.join("\n")
}

/// Names and values, one a line.
pub(super) fn facts(style: Style, facts: &[(&str, String)]) -> String {
    let width = facts.iter().map(|(name, _)| name.width()).max().unwrap_or_default();
    let line = |(name, value): &(&str, String)| format!("{}  {value}", style.dim(&format!("{name:width$}")));
    facts.iter().map(line).collect::<Vec<_>>().join("\n")
}
