//! A terminal chat client, interactive and scriptable.

mod address;
mod arguments;
mod failure;
mod names;
mod output;
mod profile;
mod render;
mod sanitise;

fn main() {}
