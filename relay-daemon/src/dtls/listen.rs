//! Taking over a handshake after the HelloVerifyRequest, which OpenSSL has not sent.

use std::ffi::c_int;

use foreign_types::ForeignTypeRef;
use openssl::error::ErrorStack;
use openssl::ssl::SslRef;

/// Has OpenSSL take the next datagram as the ClientHello that answers a HelloVerifyRequest: records and messages are
/// counted from there on. Its cookie is right if the callback of the context says so. Says whether it could be used.
pub(super) fn take_hello(ssl: &SslRef) -> bool {
    // SAFETY: the pointer is that of a live SSL with its BIO, which nobody else uses meanwhile; the address, which OpenSSL fills in if it can, lives until it
    // is freed here, which does nothing to a null pointer.
    let result = unsafe {
        let client = BIO_ADDR_new();
        let result = if client.is_null() {
            -1
        } else {
            DTLSv1_listen(ssl.as_ptr(), client)
        };
        BIO_ADDR_free(client);
        result
    };
    if result <= 0 {
        // What was wrong must not seem to be so the next time.
        drop(ErrorStack::get());
    }
    result > 0
}

/// An address, for OpenSSL to know what is in it.
#[repr(C)]
struct BioAddress {
    _opaque: [u8; 0],
}

unsafe extern "C" {
    fn DTLSv1_listen(ssl: *mut openssl_sys::SSL, client: *mut BioAddress) -> c_int;
    fn BIO_ADDR_new() -> *mut BioAddress;
    fn BIO_ADDR_free(address: *mut BioAddress);
}
