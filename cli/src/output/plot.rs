//! Candles in plain characters: `█` rose, `░` fell, `│` is the wick. Pure.

use super::number::short;

/// One bar.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Candle {
    pub(crate) open: f64,
    pub(crate) high: f64,
    pub(crate) low: f64,
    pub(crate) close: f64,
}

/// Draws candles into so many columns and rows, prices at the left, `first` and `last` (the
/// times of both ends) below. Bars are joined where there are more than columns.
pub(crate) fn candles(
    candles: &[Candle],
    first: &str,
    last: &str,
    width: usize,
    height: usize,
) -> Vec<String> {
    let known: Vec<Candle> = candles.iter().copied().filter(Candle::is_known).collect();
    let low = known.iter().map(|one| one.low).fold(f64::INFINITY, f64::min);
    let high = known.iter().map(|one| one.high).fold(f64::NEG_INFINITY, f64::max);
    if known.is_empty() {
        return vec!["Nothing to draw.".to_owned()];
    }
    let rows = height.saturating_sub(AXIS_ROWS).max(FEWEST_ROWS);
    let scale = Scale { low, high, rows };
    let labels: Vec<String> = (0..rows).map(|row| scale.label(row)).collect();
    let margin = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0);
    let columns = width.saturating_sub(margin + AXIS.chars().count()).max(1);
    let joined = join(&known, columns);
    let drawn: Vec<Vec<char>> = joined.iter().map(|candle| scale.column(candle)).collect();
    // Where there is room, candles do not touch.
    let (gap, used) = match joined.len() * 2 - 1 {
        wide if wide <= columns => (" ", wide),
        _ => ("", joined.len()),
    };

    let mut lines: Vec<String> = (0..rows)
        .map(|row| {
            // Every fourth price is enough to read the rest.
            let named = (rows - 1 - row).is_multiple_of(4);
            let label = if named { labels[row].as_str() } else { "" };
            let cells: Vec<_> = drawn.iter().map(|column| column[row].to_string()).collect();
            let cells = cells.join(gap);
            format!("{label:>margin$}{AXIS}{cells}").trim_end().to_owned()
        })
        .collect();
    let indent = " ".repeat(margin + AXIS.chars().count());
    let ends = first.chars().count() + last.chars().count();
    let gap = used.saturating_sub(ends).max(2);
    lines.push(format!("{indent}{first}{}{last}", " ".repeat(gap)));
    lines
}

impl Candle {
    fn is_known(&self) -> bool {
        [self.open, self.high, self.low, self.close].iter().all(|price| price.is_finite())
    }
}

/// Prices to rows, the highest in row 0.
struct Scale {
    low: f64,
    high: f64,
    rows: usize,
}

impl Scale {
    fn row(&self, price: f64) -> usize {
        let span = self.high - self.low;
        if span <= 0.0 {
            return self.rows / 2;
        }
        let share = ((self.high - price) / span).clamp(0.0, 1.0);
        (share * (self.rows - 1) as f64).round() as usize
    }

    fn label(&self, row: usize) -> String {
        let step = (self.high - self.low) / (self.rows - 1) as f64;
        let price = if step > 0.0 { self.high - step * row as f64 } else { self.high };
        // As many digits as tell two rows apart, but two at least.
        let digits = if step > 0.0 { (-step.log10()).ceil().clamp(2.0, 8.0) as usize } else { 2 };
        if digits == 2 { format!("{price:.2}") } else { short(price, digits) }
    }

    fn column(&self, candle: &Candle) -> Vec<char> {
        let (top, bottom) = (self.row(candle.high), self.row(candle.low));
        let (open, close) = (self.row(candle.open), self.row(candle.close));
        let body = if candle.close >= candle.open { ROSE } else { FELL };
        let cell = |row: usize| {
            if row >= open.min(close) && row <= open.max(close) {
                body
            } else if row >= top && row <= bottom {
                WICK
            } else {
                ' '
            }
        };
        (0..self.rows).map(cell).collect()
    }
}

/// As many candles as columns at most: neighbours become one.
fn join(candles: &[Candle], columns: usize) -> Vec<Candle> {
    let each = candles.len().div_ceil(columns).max(1);
    let joined = |group: &[Candle]| {
        let mut candle = group[0];
        for next in &group[1..] {
            candle.high = candle.high.max(next.high);
            candle.low = candle.low.min(next.low);
            candle.close = next.close;
        }
        candle
    };
    candles.chunks(each).map(joined).collect()
}

const ROSE: char = '█';
const FELL: char = '░';
const WICK: char = '│';
const AXIS: &str = " ┤ ";
/// The line of times, and one for the prompt.
const AXIS_ROWS: usize = 2;
const FEWEST_ROWS: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn candle(open: f64, high: f64, low: f64, close: f64) -> Candle {
        Candle { open, high, low, close }
    }

    #[test]
    fn a_picture_fits_its_size_whatever_the_number_of_bars() {
        for count in [1, 2, 60, 61, 1000] {
            let wave = |index: usize| {
                let base = 100.0 + (index as f64 / 9.0).sin();
                candle(base, base + 0.5, base - 0.5, base + 0.2)
            };
            let bars: Vec<_> = (0..count).map(wave).collect();
            let lines = candles(&bars, "09:30", "16:00", 70, 20);
            assert_eq!(lines.len(), 19, "{count}");
            let widest = lines.iter().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= 70, "{count}: {widest}\n{}", lines.join("\n"));
            assert!(lines.last().unwrap().contains("09:30"));
        }
    }

    #[test]
    fn a_candle_has_a_body_and_wicks() {
        let lines =
            candles(&[candle(2.0, 5.0, 1.0, 4.0), candle(4.0, 4.0, 2.0, 2.0)], "a", "b", 40, 7);
        let cells = |row: usize| lines[row].split(AXIS).nth(1).unwrap_or("").to_owned();
        assert_eq!(
            [cells(0), cells(1), cells(2), cells(3), cells(4)],
            ["│", "█ ░", "█ ░", "█ ░", "│"]
        );
        assert!(lines[0].starts_with("5.00") && lines[4].starts_with("1.00"), "{lines:?}");
    }

    #[test]
    fn a_flat_line_and_nothing_at_all_are_drawn() {
        let lines = candles(&[candle(3.0, 3.0, 3.0, 3.0)], "a", "b", 40, 10);
        assert!(lines.iter().any(|line| line.contains('█')), "{lines:?}");
        assert_eq!(candles(&[], "", "", 40, 10), ["Nothing to draw."]);
        let unknown = candle(f64::NAN, 1.0, 1.0, 1.0);
        assert_eq!(candles(&[unknown], "", "", 40, 10).len(), 1);
    }

    #[test]
    fn joined_bars_keep_their_extremes() {
        let bars =
            [candle(1.0, 9.0, 1.0, 2.0), candle(2.0, 3.0, 0.5, 1.5), candle(1.0, 1.0, 1.0, 1.0)];
        assert_eq!(join(&bars, 2), [candle(1.0, 9.0, 0.5, 1.5), bars[2]]);
    }
}
