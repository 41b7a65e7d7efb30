//! A terminal's screen as a picture that a page can show: SVG, with text that can be read aloud and copied.

use std::fmt::Write;

use vt100::{Cell, Color, Screen};

/// How wide and how high a cell is, in pixels.
const CELL: (f32, f32) = (8.4, 19.0);
/// What is left free around the text.
const MARGIN: f32 = 16.0;
const PAPER: &str = "#16181d";
const INK: &str = "#d7dae0";
/// The eight colours, and the eight bright ones.
const COLORS: [&str; 16] = [
    "#5c6370", "#ef7a85", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#d7dae0", "#7f848e",
    "#ff929c", "#b1d894", "#f2d49b", "#84c5fb", "#da9bec", "#7bd0da", "#ffffff",
];

/// How a run of cells looks.
#[derive(PartialEq, Clone)]
struct Look {
    ink: String,
    paper: Option<String>,
    bold: bool,
    italic: bool,
    underline: bool,
    dim: bool,
}

/// Draws what is on the screen, down to the last line that holds anything.
pub(crate) fn of(screen: &Screen, title: &str) -> String {
    let (rows, columns) = screen.size();
    let (rows, columns) = (rows.get(), columns.get());
    let is_empty = |row: &u16| (0..columns).all(|column| screen.cell(*row, column).is_none_or(is_blank));
    let rows = (0..rows).rev().find(|row| !is_empty(row)).map_or(0, |last| last + 1);
    let (width, height) =
        (f32::from(columns) * CELL.0 + 2.0 * MARGIN, f32::from(rows) * CELL.1 + 2.0 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\">\n\
         <title>{}</title>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{PAPER}\"/>\n\
         <g font-family=\"ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace\" font-size=\"14\">\n",
        escaped(title)
    );
    for row in 0..rows {
        for (column, text, look) in runs(screen, row, columns) {
            draw(&mut svg, row, column, &text, &look);
        }
    }
    svg.push_str("</g>\n</svg>\n");
    svg
}

fn is_blank(cell: &Cell) -> bool {
    cell.contents().trim().is_empty() && !cell.inverse() && cell.bgcolor() == Color::Default
}

/// The runs of a row that look the same. Two blanks end one: how wide they are is not left to whoever shows the picture.
fn runs(screen: &Screen, row: u16, columns: u16) -> Vec<(u16, String, Look)> {
    let mut runs: Vec<(u16, String, Look)> = Vec::new();
    let mut blanks = 0;
    for column in 0..columns {
        let Some(cell) = screen.cell(row, column).filter(|cell| !cell.is_wide_continuation()) else {
            continue;
        };
        if is_blank(cell) {
            blanks += 1;
            continue;
        }
        let (text, look) = (if cell.has_contents() { cell.contents() } else { "\u{a0}" }, look(cell));
        match runs.last_mut() {
            Some((_, run, of)) if *of == look && blanks < 2 => {
                run.extend((0..blanks).map(|_| ' '));
                run.push_str(text);
            }
            _ => runs.push((column, text.to_owned(), look)),
        }
        blanks = 0;
    }
    runs
}

fn look(cell: &Cell) -> Look {
    let color = |color: Color| match color {
        Color::Default => None,
        Color::Idx(index) => Some(COLORS.get(usize::from(index)).copied().unwrap_or(INK).to_owned()),
        Color::Rgb(red, green, blue) => Some(format!("#{red:02x}{green:02x}{blue:02x}")),
    };
    let (mut ink, mut paper) = (color(cell.fgcolor()), color(cell.bgcolor()));
    if cell.inverse() {
        (ink, paper) = (paper.or(Some(PAPER.to_owned())), ink.or(Some(INK.to_owned())));
    }
    Look {
        ink: ink.unwrap_or_else(|| INK.to_owned()),
        paper,
        bold: cell.bold(),
        italic: cell.italic(),
        underline: cell.underline(),
        dim: cell.dim(),
    }
}

fn draw(svg: &mut String, row: u16, column: u16, text: &str, look: &Look) {
    let cells = u16::try_from(text.chars().count()).unwrap_or(u16::MAX);
    let (x, width) = (MARGIN + f32::from(column) * CELL.0, f32::from(cells) * CELL.0);
    let top = MARGIN + f32::from(row) * CELL.1;
    if let Some(paper) = &look.paper {
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"{paper}\"/>",
            CELL.1
        );
    }
    let mut style = format!("fill=\"{}\"", look.ink);
    for (is, says) in [
        (look.bold, " font-weight=\"bold\""),
        (look.italic, " font-style=\"italic\""),
        (look.underline, " text-decoration=\"underline\""),
        (look.dim, " opacity=\"0.7\""),
    ] {
        if is {
            style.push_str(says);
        }
    }
    // Whatever the reader's font is, columns stay columns.
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{:.1}\" textLength=\"{width:.1}\" lengthAdjust=\"spacingAndGlyphs\" {style}>{}</text>",
        top + 14.0,
        escaped(text)
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
