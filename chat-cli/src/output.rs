//! Where results go: lines for a person, or one JSON object per line for a script.

use std::io::{self, Write};

use serde_json::Value;

use crate::failure::Failure;

/// In which form results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// In words.
    Text,
    /// As JSON.
    Json,
}

/// Takes results, each as one line.
pub(crate) struct Output {
    form: Form,
    sink: Sink,
}

enum Sink {
    /// Each line is written at once.
    Stdout(io::Stdout),
    /// Lines are gathered.
    Held(String),
}

impl Output {
    /// Results go to standard output.
    pub(crate) fn stdout(form: Form) -> Self {
        Self { form, sink: Sink::Stdout(io::stdout()) }
    }

    /// Results in words are held for whoever asked.
    pub(crate) fn held() -> Self {
        Self { form: Form::Text, sink: Sink::Held(String::new()) }
    }

    /// What was held, its lines separated by line breaks.
    pub(crate) fn into_text(self) -> String {
        match self.sink {
            Sink::Stdout(_) => String::new(),
            Sink::Held(mut text) => {
                text.truncate(text.trim_end_matches('\n').len());
                text
            }
        }
    }

    /// Prints one result in the form that was chosen.
    pub(crate) fn result(
        &mut self,
        text: impl FnOnce() -> String,
        json: impl FnOnce() -> Value,
    ) -> Result<(), Failure> {
        let line = match self.form {
            Form::Text => text(),
            Form::Json => json().to_string(),
        };
        self.print(&line)
    }

    /// Prints a remark that is for people only.
    pub(crate) fn remark(&mut self, text: &str) -> Result<(), Failure> {
        match self.form {
            Form::Text => self.print(text),
            Form::Json => Ok(()),
        }
    }

    fn print(&mut self, line: &str) -> Result<(), Failure> {
        // One write per line: what reads along never sees a part of one.
        let line = format!("{line}\n");
        match &mut self.sink {
            Sink::Held(text) => {
                text.push_str(&line);
                Ok(())
            }
            Sink::Stdout(stdout) => {
                stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush()).map_err(Failure::Output)
            }
        }
    }
}
