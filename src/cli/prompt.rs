//! Secrets come from a terminal, a pipe or a file: never from arguments, which everybody on the machine sees.

use std::io::{self, BufRead, IsTerminal as _, Write as _};

use anyhow::{Context as _, Result, ensure};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::secret::SecretText;

/// Asks for a secret: on a terminal without showing it, else the next line of standard input.
///
/// # Errors
///
/// There is none.
pub fn ask(question: &str) -> Result<SecretText> {
    let mut input = io::stdin().lock();
    if !input.is_terminal() {
        return line(&mut input);
    }
    let shown = tcgetattr(&input)?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    // Nobody sees the question when standard error is closed; the answer is taken all the same.
    let _ = write!(io::stderr(), "{question}");
    tcsetattr(&input, OptionalActions::Flush, &hidden)?;
    let answer = line(&mut input);
    tcsetattr(&input, OptionalActions::Flush, &shown)?;
    let _ = writeln!(io::stderr());
    answer
}

/// The next line.
///
/// # Errors
///
/// There is none.
pub fn line(input: &mut impl BufRead) -> Result<SecretText> {
    let mut line = Zeroizing::new(String::new());
    input.read_line(&mut line).context("cannot read the password")?;
    let text = line.trim_end_matches(['\r', '\n']);
    ensure!(!text.is_empty(), "no password was given");
    Ok(SecretText::new(text.to_owned()))
}
