//! What the terminal program looks like: its screen, drawn by the browser, beside the pictures of the page.

use vt100::{Cell, Color, Screen};

use crate::browser::{Driver, there_is_one};
use crate::process_support::peer::Peer;
use crate::process_support::terminal::{Terminal, XTERM};
use crate::process_support::tracker::Tracker;

const STYLE: &str = "body { margin: 0; background: #16181b; color: #e7e6e3; } \
                     pre { margin: 0; padding: 20px 24px; font: 15px/1.45 'DejaVu Sans Mono', monospace; }";

#[actix::test]
async fn the_terminal_can_be_looked_at() {
    if !there_is_one() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let tracker = Tracker::start(&folder.path().join("tracker"));
    let mut ken = Peer::host(&tracker, "ken", folder.path(), "garden");
    let mut charlie = Terminal::start(&tracker, "charlie", folder.path(), XTERM);
    charlie.type_line("list");
    charlie.see("garden");
    charlie.type_line("join garden");
    charlie.see("joined #garden");
    ken.send("garden", "The tomatoes came through the frost. Seven of the nine, at least.");
    charlie.see("Seven of the nine");
    charlie.type_line("talk garden");
    charlie.see_line("charlie #garden> ");
    charlie.type_line("Did you cover them?");
    ken.wait_message("Did you cover them?");
    charlie.see("charlie (guest): Did you cover them?");
    ken.send("garden", "With fleece, from eight in the evening.");
    charlie.see("from eight in the evening");
    charlie.see_line("charlie #garden> ");
    charlie.type_line("/status");
    charlie.see("tracker");
    charlie.see_line("charlie #garden> ");
    charlie.type_keys("Then I do the same ton");
    charlie.see_line("charlie #garden> Then I do the same ton");
    let drawn = draw(charlie.screen());
    let height = 60 + 22 * drawn.lines().count();
    let file = folder.path().join("terminal.html");
    std::fs::write(
        &file,
        format!("<!doctype html><meta charset=utf-8><style>{STYLE}</style><pre>{drawn}</pre>"),
    )
    .unwrap();
    let driver = Driver::start();
    let browser = driver.browser().await;
    browser.goto(&format!("file://{}", file.display())).await;
    browser.look(980, u32::try_from(height).unwrap(), "dark").await;
    browser.picture("terminal").await;
    browser.quit().await;
}

/// The rows from the program's first to that of the cursor, as HTML.
fn draw(screen: &Screen) -> String {
    let (_, columns) = screen.size();
    let cursor = screen.cursor_position();
    let first = screen.rows(0, columns).position(|row| row.starts_with("You are")).unwrap_or_default();
    let rows = (u16::try_from(first).unwrap()..=cursor.0).map(|row| {
        let cells = (0..columns).filter_map(|column| {
            let cell = screen.cell(row, column)?;
            Some(span(cell, cursor == (row, column)))
        });
        cells.collect::<String>()
    });
    rows.collect::<Vec<_>>().join("\n")
}

fn span(cell: &Cell, is_cursor: bool) -> String {
    let text = if cell.has_contents() { cell.contents() } else { " " };
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let weight = if cell.bold() { "bold" } else { "normal" };
    let (ink, ground) = if is_cursor { ("#16181b", "#e7e6e3") } else { (ink(cell.fgcolor()), "none") };
    let faint = if cell.dim() { "0.65" } else { "1" };
    format!(
        "<span style='color:{ink};background:{ground};font-weight:{weight};opacity:{faint}'>{text}</span>"
    )
}

fn ink(color: Color) -> &'static str {
    const NAMED: [&str; 8] =
        ["#626a73", "#ff8a80", "#4ade80", "#fbbf24", "#7aa2f7", "#d19af0", "#2dd4bf", "#e7e6e3"];
    match color {
        Color::Idx(number) => NAMED[usize::from(number) % NAMED.len()],
        _ => "#e7e6e3",
    }
}
