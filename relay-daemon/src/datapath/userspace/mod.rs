//! Workers and their sockets.
