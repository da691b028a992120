//! Whole calls in virtual time.

mod bundle;
mod codecs;
mod connect;
mod control;
mod counting;
mod credentials;
mod everything;
mod ice;
mod indices;
mod interfaces;
mod media_properties;
mod music;
mod mux;
mod nothing_lost;
mod profiles;
mod properties;
mod scripts;
mod sections;
mod secure;
mod statistics;
mod subscriptions;
mod timeouts;
mod world;
