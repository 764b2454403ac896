//! Tables of Kafka's newer tools.

use std::io;

use super::output::Output;

/// A table whose columns are padded with spaces and followed by tabs.
pub fn print(header: &[&str], rows: &[Vec<String>], out: &mut Output) -> io::Result<()> {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([header[column].len()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}\t"));
        padded.collect::<String>()
    };
    out.line(line(header.to_vec()))?;
    for row in rows {
        out.line(line(row.iter().map(String::as_str).collect()))?;
    }
    Ok(())
}
