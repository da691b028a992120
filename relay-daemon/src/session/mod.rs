//! The media engine of one call: datagrams and time in, datagrams and events out.
