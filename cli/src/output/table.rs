//! Tables that fit the width: flexible columns give way, figures never do.

use super::WIDTH;
use super::text::cut;
use super::visible::one_line;

/// How a column behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    /// Text, shown in full.
    Text(&'static str),
    /// Text that may be cut.
    Flexible(&'static str),
    /// A figure, aligned to the right.
    Figure(&'static str),
}

impl Column {
    fn title(self) -> &'static str {
        match self {
            Self::Text(title) | Self::Flexible(title) | Self::Figure(title) => title,
        }
    }
}

/// Lays out rows of as many cells as there are columns.
pub(crate) fn table(columns: &[Column], rows: &[Vec<String>]) -> String {
    // A cell of two lines would be a row that nobody told.
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| one_line(cell)).collect()).collect();
    let width_of = |index: usize, column: &Column| {
        let cells = rows.iter().map(|row| row[index].chars().count());
        cells.fold(column.title().chars().count(), usize::max)
    };
    let mut widths: Vec<_> =
        columns.iter().enumerate().map(|(index, column)| width_of(index, column)).collect();
    shrink(columns, &mut widths);

    let titles = columns.iter().map(|column| column.title().to_owned()).collect();
    let mut text = String::new();
    for row in std::iter::once(&titles).chain(&rows) {
        let mut line = String::new();
        for ((column, cell), &width) in columns.iter().zip(row).zip(&widths) {
            let cell = cut(cell, width);
            match column {
                Column::Figure(_) => line.push_str(&format!("{cell:>width$}")),
                Column::Text(_) | Column::Flexible(_) => line.push_str(&format!("{cell:<width$}")),
            }
            line.push_str(GAP);
        }
        // Only if the columns that may not be cut are too wide by themselves.
        text.push_str(&cut(line.trim_end(), WIDTH));
        text.push('\n');
    }
    text
}

/// Takes columns from the widest flexible one until the table fits.
fn shrink(columns: &[Column], widths: &mut [usize]) {
    loop {
        let total = widths.iter().sum::<usize>() + GAP.len() * widths.len().saturating_sub(1);
        let widest = columns
            .iter()
            .zip(widths.iter_mut())
            .filter(|(column, _)| matches!(column, Column::Flexible(_)))
            .map(|(_, width)| width)
            .max();
        match widest {
            Some(width) if total > WIDTH && *width > NARROWEST => *width -= 1,
            _ => return,
        }
    }
}

const GAP: &str = "  ";
const NARROWEST: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flexible_columns_give_way_and_figures_do_not() {
        let columns = [Column::Text("ID"), Column::Flexible("NAME"), Column::Figure("SKIPPED")];
        let rows = vec![
            vec!["client-1".into(), "n".repeat(120), "18446744073709551615".into()],
            vec!["client-22".into(), "short".into(), "0".into()],
        ];
        let text = table(&columns, &rows);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(lines[1].ends_with("18446744073709551615"));
        assert!(lines[1].contains('…'));
        assert!(lines[0].starts_with("ID         NAME"));
        assert!(lines[2].ends_with(" 0"));
    }

    #[test]
    fn a_cell_makes_no_row_of_its_own() {
        let columns = [Column::Text("NAME"), Column::Figure("N")];
        let rows = [vec!["one\nforged  1".into(), "10".into()]];
        assert_eq!(table(&columns, &rows), "NAME            N\none forged  1  10\n");
    }

    #[test]
    fn a_small_table_is_as_wide_as_its_cells() {
        let columns = [Column::Text("ID"), Column::Figure("N")];
        assert_eq!(table(&columns, &[vec!["a".into(), "10".into()]]), "ID   N\na   10\n");
    }
}
