//! Debian's libsrtp, loaded where it is installed: what our SRTP is checked against.

use std::ffi::{CStr, c_int, c_uint, c_ulong, c_void};
use std::ptr;
use std::sync::OnceLock;

use relay_daemon::security::{Srtp, Suite};

/// The functions of the library.
struct Library {
    create: unsafe extern "C" fn(*mut *mut c_void, *const Policy) -> c_int,
    dealloc: unsafe extern "C" fn(*mut c_void) -> c_int,
    protect: Protect,
    unprotect: Unprotect,
    protect_rtcp: Protect,
    unprotect_rtcp: Unprotect,
}

type Protect = unsafe extern "C" fn(*mut c_void, *mut c_void, *mut c_int, c_uint, c_uint) -> c_int;
type Unprotect = unsafe extern "C" fn(*mut c_void, *mut c_void, *mut c_int, c_uint) -> c_int;

const LIBRARY: &CStr = c"libsrtp2.so.1";

/// One direction of SRTP, as libsrtp does it.
pub struct LibSrtp {
    library: &'static Library,
    session: *mut c_void,
    use_mki: c_uint,
}

impl LibSrtp {
    /// For packets that it sends. None without the library, or where it cannot do the suite.
    pub fn outbound(srtp: &Srtp) -> Option<LibSrtp> {
        LibSrtp::new(srtp, ANY_OUTBOUND)
    }

    /// For packets that it receives. None without the library, or where it cannot do the suite.
    pub fn inbound(srtp: &Srtp) -> Option<LibSrtp> {
        LibSrtp::new(srtp, ANY_INBOUND)
    }

    /// Whether the library is there. Prints if it is not.
    pub fn is_installed() -> bool {
        let installed = library().is_some();
        if !installed {
            println!("skipped: libsrtp2-1 is not installed");
        }
        installed
    }

    fn new(srtp: &Srtp, direction: c_int) -> Option<LibSrtp> {
        let library = library()?;
        let mut key = srtp.key.key_and_salt().to_vec();
        let (mki, length) = srtp.mki.map_or((Vec::new(), 0), |mki| {
            (mki.value.to_be_bytes().to_vec(), usize::from(mki.length))
        });
        let mut mki = mki[mki.len() - length.min(mki.len())..].to_vec();
        let master_key = MasterKey {
            key: key.as_mut_ptr(),
            mki_id: mki.as_mut_ptr(),
            mki_size: c_uint::try_from(mki.len()).ok()?,
        };
        let keys = [ptr::from_ref(&master_key)];
        let (rtp, rtcp) = crypto_policies(srtp)?;
        let policy = Policy {
            ssrc_type: direction,
            ssrc: 0,
            rtp,
            rtcp,
            key: ptr::null(),
            keys: keys.as_ptr(),
            num_master_keys: 1,
            deprecated_ekt: ptr::null(),
            window_size: 128,
            allow_repeat_tx: 0,
            enc_xtn_hdr: ptr::null(),
            enc_xtn_hdr_count: 0,
            next: ptr::null(),
        };
        let mut session = ptr::null_mut();
        // SAFETY: the policy and all it points to outlive the call, which copies them.
        let status = unsafe { (library.create)(&mut session, &policy) };
        (status == 0).then_some(LibSrtp {
            library,
            session,
            use_mki: srtp.mki.is_some().into(),
        })
    }

    /// The protected packet: RTCP if it looks like it. None if the library refuses.
    pub fn protect(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        let function = if is_rtcp(packet) {
            self.library.protect_rtcp
        } else {
            self.library.protect
        };
        let (session, use_mki) = (self.session, self.use_mki);
        // SAFETY: the session is alive and used by nobody else, the buffer has room for a trailer.
        call(packet, |buffer, length| unsafe {
            function(session, buffer, length, use_mki, 0)
        })
    }

    /// Protects the RTP packet in the first `length` bytes of a buffer that has room for a trailer: words, as the library
    /// wants packets aligned. The result is its new length.
    pub fn protect_in_place(&mut self, buffer: &mut [u32], length: usize) -> Option<usize> {
        let mut length = c_int::try_from(length).ok()?;
        // SAFETY: the session is alive and used by nobody else, the caller leaves room for a trailer.
        let status = unsafe {
            (self.library.protect)(
                self.session,
                buffer.as_mut_ptr().cast(),
                &mut length,
                self.use_mki,
                0,
            )
        };
        usize::try_from(length).ok().filter(|_| status == 0)
    }

    /// Unprotects the SRTP packet in the first `length` bytes of a buffer. The result is its new length.
    pub fn unprotect_in_place(&mut self, buffer: &mut [u32], length: usize) -> Option<usize> {
        let mut length = c_int::try_from(length).ok()?;
        // SAFETY: the session is alive and used by nobody else, and the packet only gets shorter.
        let status = unsafe {
            (self.library.unprotect)(
                self.session,
                buffer.as_mut_ptr().cast(),
                &mut length,
                self.use_mki,
            )
        };
        usize::try_from(length).ok().filter(|_| status == 0)
    }

    /// The packet without its protection. None if the library refuses.
    pub fn unprotect(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        let function = if is_rtcp(packet) {
            self.library.unprotect_rtcp
        } else {
            self.library.unprotect
        };
        let (session, use_mki) = (self.session, self.use_mki);
        // SAFETY: as above.
        call(packet, |buffer, length| unsafe {
            function(session, buffer, length, use_mki)
        })
    }
}

impl Drop for LibSrtp {
    fn drop(&mut self) {
        // SAFETY: the session was created by the library, and nobody uses it any more.
        unsafe { (self.library.dealloc)(self.session) };
    }
}

fn is_rtcp(packet: &[u8]) -> bool {
    matches!(packet, [_, 194..=223, ..])
}

/// Room for a trailer and for alignment.
const ROOM: usize = 512;

fn call(packet: &[u8], function: impl FnOnce(*mut c_void, *mut c_int) -> c_int) -> Option<Vec<u8>> {
    // The library wants the packet aligned to words.
    let mut words = vec![0u32; (packet.len() + ROOM) / 4];
    for (word, bytes) in words.iter_mut().zip(packet.chunks(4)) {
        let mut whole = [0; 4];
        whole[..bytes.len()].copy_from_slice(bytes);
        *word = u32::from_ne_bytes(whole);
    }
    let mut length = c_int::try_from(packet.len()).ok()?;
    if function(words.as_mut_ptr().cast(), &mut length) != 0 {
        return None;
    }
    let bytes = words.iter().flat_map(|word| word.to_ne_bytes());
    Some(bytes.take(usize::try_from(length).ok()?).collect())
}

const ANY_INBOUND: c_int = 2;
const ANY_OUTBOUND: c_int = 3;

/// `srtp_master_key_t`
#[repr(C)]
struct MasterKey {
    key: *mut u8,
    mki_id: *mut u8,
    mki_size: c_uint,
}

/// `srtp_crypto_policy_t`
#[repr(C)]
#[derive(Clone, Copy)]
struct CryptoPolicy {
    cipher_type: u32,
    cipher_key_len: c_int,
    auth_type: u32,
    auth_key_len: c_int,
    auth_tag_len: c_int,
    sec_serv: c_int,
}

/// `srtp_policy_t` of libsrtp 2.5
#[repr(C)]
struct Policy {
    ssrc_type: c_int,
    ssrc: c_uint,
    rtp: CryptoPolicy,
    rtcp: CryptoPolicy,
    key: *const u8,
    keys: *const *const MasterKey,
    num_master_keys: c_ulong,
    deprecated_ekt: *const c_void,
    window_size: c_ulong,
    allow_repeat_tx: c_int,
    enc_xtn_hdr: *const c_int,
    enc_xtn_hdr_count: c_int,
    next: *const Policy,
}

const ENCRYPT: c_int = 1;
const AUTHENTICATE: c_int = 2;

/// None for what libsrtp does not have.
fn crypto_policies(srtp: &Srtp) -> Option<(CryptoPolicy, CryptoPolicy)> {
    let (cipher_type, tag) = match srtp.suite() {
        Suite::AeadAes256Gcm => (7, 16),
        Suite::AeadAes128Gcm => (6, 16),
        Suite::Aes256CmHmacSha1_80 => (5, 10),
        Suite::Aes256CmHmacSha1_32 => (5, 4),
        Suite::Aes192CmHmacSha1_80 => (4, 10),
        Suite::Aes192CmHmacSha1_32 => (4, 4),
        Suite::AesCm128HmacSha1_80 => (1, 10),
        Suite::AesCm128HmacSha1_32 => (1, 4),
        // It takes no master salt with its null cipher, and so has other keys.
        Suite::F8_128HmacSha1_80
        | Suite::F8_128HmacSha1_32
        | Suite::NullHmacSha1_80
        | Suite::NullHmacSha1_32 => return None,
    };
    let is_aead = tag == 16;
    let policy = |tag, encrypts: bool, authenticates: bool| CryptoPolicy {
        cipher_type,
        cipher_key_len: c_int::try_from(srtp.key.key_and_salt().len()).unwrap_or(0),
        auth_type: if is_aead { 0 } else { 3 },
        auth_key_len: if is_aead { 0 } else { 20 },
        auth_tag_len: if authenticates { tag } else { 0 },
        sec_serv: if encrypts { ENCRYPT } else { 0 } | if authenticates { AUTHENTICATE } else { 0 },
    };
    let parameters = &srtp.parameters;
    let authenticates = is_aead || !parameters.unauthenticated_srtp;
    Some((
        policy(tag, !parameters.unencrypted_srtp, authenticates),
        policy(if is_aead { 16 } else { 10 }, !parameters.unencrypted_srtcp, true),
    ))
}

fn library() -> Option<&'static Library> {
    static LOADED: OnceLock<Option<Library>> = OnceLock::new();
    LOADED.get_or_init(load).as_ref()
}

fn load() -> Option<Library> {
    // SAFETY: a well-known library, whose constructors have no conditions.
    let handle = unsafe { libc::dlopen(LIBRARY.as_ptr(), libc::RTLD_NOW) };
    if handle.is_null() {
        return None;
    }
    let symbol = |name: &CStr| {
        // SAFETY: the handle is open and stays so.
        let symbol = unsafe { libc::dlsym(handle, name.as_ptr()) };
        (!symbol.is_null()).then_some(symbol)
    };
    let init = symbol(c"srtp_init")?;
    // SAFETY: the header of libsrtp 2 declares these functions so; `srtp_init` is called once, before all others.
    unsafe {
        let init: unsafe extern "C" fn() -> c_int = std::mem::transmute(init);
        (init() == 0).then_some(Library {
            create: std::mem::transmute::<
                *mut c_void,
                unsafe extern "C" fn(*mut *mut c_void, *const Policy) -> c_int,
            >(symbol(c"srtp_create")?),
            dealloc: std::mem::transmute::<*mut c_void, unsafe extern "C" fn(*mut c_void) -> c_int>(symbol(
                c"srtp_dealloc",
            )?),
            protect: std::mem::transmute::<*mut c_void, Protect>(symbol(c"srtp_protect_mki")?),
            unprotect: std::mem::transmute::<*mut c_void, Unprotect>(symbol(c"srtp_unprotect_mki")?),
            protect_rtcp: std::mem::transmute::<*mut c_void, Protect>(symbol(c"srtp_protect_rtcp_mki")?),
            unprotect_rtcp: std::mem::transmute::<*mut c_void, Unprotect>(symbol(
                c"srtp_unprotect_rtcp_mki",
            )?),
        })
    }
}
