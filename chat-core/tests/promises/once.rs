//! **once**: repeating a command with its id returns the first result and changes nothing.
