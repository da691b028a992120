//! Sends ng commands, lists and watches calls.

fn main() {}
