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

/// Takes results and prints them, each as one line at once.
pub(crate) struct Output {
    form: Form,
    sink: Box<dyn Write + Send>,
}

impl Output {
    /// Results go to standard output.
    pub(crate) fn stdout(form: Form) -> Self {
        Self { form, sink: Box::new(io::stdout()) }
    }

    /// Results in words go to this place.
    pub(crate) fn to(sink: impl Write + Send + 'static) -> Self {
        Self { form: Form::Text, sink: Box::new(sink) }
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
        self.sink.write_all(line.as_bytes()).and_then(|()| self.sink.flush()).map_err(Failure::Output)
    }
}
