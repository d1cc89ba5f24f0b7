//! Stories that run: see the folders beside this one, `cargo run -p chat-examples --example NAME`.
