//! The one place that prints. Standard output carries the result; everything else goes to standard error.

use std::fmt::Display;
use std::io::{BufRead as _, Write as _};

/// Prints a result to standard output. A reader that went away (`| head`) is no error.
pub fn result(text: impl Display) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Tells the user something, on standard error.
pub fn say(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Tells the user something that deserves attention, on standard error.
pub fn warn(text: impl Display) {
    say(format_args!("warning: {text}"));
}

/// Shows the command that is about to run, exactly as it runs.
pub fn echo(command: impl Display) {
    say(format_args!("$ {command}"));
}

/// Asks a question that is answered with yes when the line is empty. End of input is a no.
pub fn confirm(question: &str) -> bool {
    match ask(&format!("{question} [Y/n] ")) {
        Some(answer) => matches!(answer.to_lowercase().as_str(), "" | "y" | "yes"),
        None => false,
    }
}

/// Asks for one line. `None` at the end of input.
pub fn ask(prompt: &str) -> Option<String> {
    let _ = write!(std::io::stderr(), "{prompt}");
    let _ = std::io::stderr().flush();
    let mut line = String::new();
    match std::io::stdin().lock().read_line(&mut line) {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(line.trim().to_owned()),
    }
}

/// Lays out rows in columns, two spaces apart, the last column unpadded.
pub fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |i: usize| {
        rows.iter()
            .filter_map(|row| row.get(i))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (i, cell) in row.iter().enumerate() {
            line.push_str(cell);
            if i + 1 < row.len() {
                line.push_str(&" ".repeat(widths[i] + 2 - cell.chars().count()));
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Text from the sandbox, made safe for a terminal: control characters are shown as escapes.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() {
                c.escape_default().to_string()
            } else {
                c.to_string()
            }
        })
        .collect()
}
