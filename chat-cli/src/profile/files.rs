//! Private files: readable by their owner only, replaced as a whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use chat_core::Token;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Makes a folder that only its owner can enter, unless it is there.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Opens a private file for writing, made when it is absent and left as it is otherwise.
pub(super) fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Makes sure that a private file is there.
pub(super) fn touch(path: &Path) -> io::Result<()> {
    open_private(path).map(drop)
}

/// Removes a file, if it is there.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Reads a value; `None` when there is no file.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let Some(text) = read(path)? else { return Ok(None) };
    serde_json::from_str(&text).map(Some).map_err(|error| damaged(path, &error.to_string()))
}

/// Replaces a file by a value.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    replace(path, &serde_json::to_vec(value)?)
}

/// Reads a token; `None` when there is no file.
pub(super) fn read_token(path: &Path) -> io::Result<Option<Token>> {
    let Some(text) = read(path)? else { return Ok(None) };
    let bytes = from_hex(text.trim()).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    bytes.map(|bytes| Some(Token(bytes))).ok_or_else(|| damaged(path, "no token"))
}

/// Replaces a file by a token.
pub(super) fn write_token(path: &Path, token: &Token) -> io::Result<()> {
    let hex: String = token.0.iter().map(|byte| format!("{byte:02x}")).collect();
    replace(path, format!("{hex}\n").as_bytes())
}

/// The bytes that hexadecimal digits stand for.
pub(super) fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn damaged(path: &Path, reason: &str) -> io::Error {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{name} is damaged ({reason}); remove it and log in again"),
    )
}

/// Writes beside and renames over, so that a crash leaves the old or the new content.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    remove(&fresh)?;
    let mut file = open_private(&fresh)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&fresh, path)
}
