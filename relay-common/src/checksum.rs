//! Incremental Internet checksum (RFC 1624).
