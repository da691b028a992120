//! An asynchronous client of the ng control protocol.
