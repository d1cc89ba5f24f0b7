//! The terminal: one thread reads lines and passwords, another prints above the line being typed.
//!
//! Both block, so neither runs where messages are handled. The reader does one thing at a time and
//! is asked for each; between two lines nothing is read, so that a password is never taken for a line.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;

use chat_core::Password;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{Config, Editor, ExternalPrinter};
use tokio::sync::oneshot;

use super::completion::{Candidates, Completion};
use crate::failure::Failure;

/// Blocks of lines that wait to be printed at most; a producer beyond that waits.
///
/// A block that is handed to the editor in the moment in which it finishes a line is printed with the
/// next one, and holds up the printer until then. So what a typed line leads to is said in a few
/// blocks, far fewer than this, before the next line is begun.
const PRINT_QUEUE: usize = 256;

/// Lines kept per profile.
const LINES_KEPT: usize = 1000;

/// What the reader is asked for.
enum Ask {
    Line {
        prompt: String,
        answer: oneshot::Sender<Option<String>>,
    },
    Password {
        prompt: String,
        answer: oneshot::Sender<Option<Password>>,
    },
    /// Lines of another user come from here and go there; the file is `None` before log-in.
    Remember {
        file: Option<PathBuf>,
        answer: oneshot::Sender<()>,
    },
}

/// A terminal, or whatever takes its place: lines of a pipe are read without a prompt.
pub(super) struct Terminal {
    asks: mpsc::Sender<Ask>,
    prints: mpsc::SyncSender<String>,
    completion: Completion,
}

impl Terminal {
    /// Takes the process's terminal.
    pub(super) fn open() -> Result<Self, Failure> {
        let failed = |error: ReadlineError| Failure::Usage(format!("cannot use the terminal: {error}"));
        let config = Config::builder().max_history_size(LINES_KEPT).map_err(failed)?;
        let config = config.history_ignore_space(true).auto_add_history(false).build();
        let mut editor: Editor<Completion, FileHistory> = Editor::with_config(config).map_err(failed)?;
        let completion = Completion::default();
        editor.set_helper(Some(completion.clone()));
        let external = editor.create_external_printer().ok();
        let (asks, asked) = mpsc::channel();
        let (prints, printed) = mpsc::sync_channel(PRINT_QUEUE);
        // Both end when their senders are gone; the reader may sit in a read for as long as nobody
        // types, so the process does not wait for it.
        thread::spawn(move || read(editor, &asked));
        thread::spawn(move || print(external, &printed));
        Ok(Self { asks, prints, completion })
    }

    /// Begins to read a line; the answer is `None` at the end of input.
    pub(super) fn begin_line(&self, prompt: String) -> oneshot::Receiver<Option<String>> {
        let (answer, answered) = oneshot::channel();
        // A reader that is gone drops the answer, which reads as the end of input.
        let _ = self.asks.send(Ask::Line { prompt, answer });
        answered
    }

    /// Reads a line; `None` at the end of input.
    pub(super) async fn line(&self, prompt: &str) -> Option<String> {
        self.begin_line(prompt.into()).await.ok().flatten()
    }

    /// Reads a password without showing it; `None` at the end of input.
    pub(super) async fn password(&self, prompt: &str) -> Option<Password> {
        let (answer, answered) = oneshot::channel();
        let _ = self.asks.send(Ask::Password { prompt: prompt.into(), answer });
        answered.await.ok().flatten()
    }

    /// From now on typed lines are kept in this file, and those that it holds can be called back;
    /// those of before are forgotten.
    pub(super) async fn remember(&self, file: Option<PathBuf>) {
        let (answer, answered) = oneshot::channel();
        let _ = self.asks.send(Ask::Remember { file, answer });
        // The answer matters only in that it has come.
        let _ = answered.await;
    }

    /// What the tab key offers from now on.
    pub(super) fn offer(&self, candidates: Candidates) {
        self.completion.offer(candidates);
    }

    /// Prints lines above the one being typed.
    pub(super) fn say(&self, text: impl Into<String>) {
        let text = text.into();
        // A printer that is gone has met a terminal that is gone; the reader will tell.
        let _ = self.prints.send(text + "\n");
    }
}

fn read(mut editor: Editor<Completion, FileHistory>, asked: &mpsc::Receiver<Ask>) {
    let mut file: Option<PathBuf> = None;
    while let Ok(ask) = asked.recv() {
        match ask {
            Ask::Line { prompt, answer } => {
                let line = line(&mut editor, &prompt);
                if let (Some(line), Some(file)) = (&line, &file)
                    && editor.add_history_entry(line.as_str()).unwrap_or(false)
                {
                    // Lines that cannot be kept are a smaller loss than a chat that ends for it.
                    let _ = editor.append_history(file);
                }
                let _ = answer.send(line);
            }
            Ask::Password { prompt, answer } => {
                let _ = answer.send(password(&mut editor, &prompt));
            }
            Ask::Remember { file: next, answer } => {
                let _ = editor.clear_history();
                if let Some(next) = &next {
                    let _ = editor.load_history(next);
                }
                file = next;
                let _ = answer.send(());
            }
        }
    }
}

/// A line; Ctrl-C empties the line being typed, Ctrl-D on an empty one is the end.
fn line(editor: &mut Editor<Completion, FileHistory>, prompt: &str) -> Option<String> {
    loop {
        match editor.readline(prompt) {
            Ok(line) => return Some(line),
            Err(ReadlineError::Interrupted | ReadlineError::Signal(_)) => {}
            Err(_) => return None,
        }
    }
}

fn password(editor: &mut Editor<Completion, FileHistory>, prompt: &str) -> Option<Password> {
    let typed = if io::stdin().is_terminal() {
        rpassword::prompt_password(prompt).ok()
    } else {
        line(editor, prompt)
    };
    typed.map(Password::new)
}

fn print(mut external: Option<impl ExternalPrinter>, printed: &mpsc::Receiver<String>) {
    while let Ok(text) = printed.recv() {
        let done = match &mut external {
            Some(external) => external.print(text).is_ok(),
            None => {
                let mut stdout = io::stdout();
                stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).is_ok()
            }
        };
        if !done {
            return;
        }
    }
}
