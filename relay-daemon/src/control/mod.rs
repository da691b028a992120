//! The control side: listeners, the cookie cache, and requests turned into commands, once.
