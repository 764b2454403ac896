//! What a tool says and how it ends: standard output, standard error, failures and their exit codes.

use std::fmt;
use std::io::{self, BufWriter, Stdout, Write};

use crate::client::ClientError;

/// Standard output, buffered; what goes to standard error is written at once.
#[derive(Debug)]
pub struct Output {
    stdout: BufWriter<Stdout>,
}

impl Output {
    /// Standard output of this process.
    pub fn new() -> Self {
        Output { stdout: BufWriter::with_capacity(64 * 1024, io::stdout()) }
    }

    /// One line on standard output.
    pub fn line(&mut self, text: impl fmt::Display) -> io::Result<()> {
        writeln!(self.stdout, "{text}")
    }

    /// One line on standard error, after everything that was printed so far.
    pub fn note(&mut self, text: impl fmt::Display) -> io::Result<()> {
        let flushed = self.stdout.flush();
        // Nobody may be listening on standard error; that is no reason to stop.
        let _ = writeln!(io::stderr(), "{text}");
        flushed
    }
}

impl Default for Output {
    fn default() -> Self {
        Output::new()
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stdout.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stdout.flush()
    }
}

/// Why a tool stops with an exit code other than 0.
#[derive(Debug)]
pub enum Failure {
    /// The command line is wrong: the sentence, then a hint at `--help`. Exit code 1.
    Usage(String),
    /// One sentence on standard error. Exit code 1.
    Message(String),
    /// No failure: a text that was asked for (`--version`, `help`), on standard output. Exit code 0.
    Text(String),
    /// Everything has been said already.
    Quiet(u8),
    /// Standard output is gone or full. A closed pipe is not worth a word.
    Output(io::Error),
}

impl Failure {
    /// A failure with this sentence.
    pub fn message(text: impl fmt::Display) -> Self {
        Failure::Message(text.to_string())
    }

    /// The version of this program.
    pub fn version() -> Self {
        Failure::Text(env!("CARGO_PKG_VERSION").to_string())
    }

    /// A wrong command line.
    pub fn usage(text: impl fmt::Display) -> Self {
        Failure::Usage(text.to_string())
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Failure::Message(error.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Output(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Usage(text) | Failure::Message(text) | Failure::Text(text) => f.write_str(text),
            Failure::Quiet(_) => Ok(()),
            Failure::Output(error) => write!(f, "standard output: {error}"),
        }
    }
}

/// What every subcommand returns.
pub type Outcome = Result<(), Failure>;
