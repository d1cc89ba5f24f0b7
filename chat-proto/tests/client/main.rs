//! The client against a scripted server, and against the real one over connections that break.

mod acknowledging;
mod catching_up;
mod ending;
mod loopback;
mod peer;
mod pressure;
mod reconnecting;
