//! Header views and the classification of datagrams (RFC 7983).
