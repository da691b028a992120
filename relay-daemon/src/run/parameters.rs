//! What `params` shows of the settings that cannot be changed at run time.

use std::fmt::Write;

use crate::config::{Config, KernelChoice};
use crate::plan::Learning;

/// `key = value`, line by line, by the names of the reference.
pub(super) fn fixed_parameters(config: &Config) -> String {
    let mut text = String::new();
    let call = &config.call;
    let table = if config.kernel == KernelChoice::Off { -1 } else { 0 };
    let learning = match call.learning {
        Learning::Delayed => 0,
        Learning::Immediate => 1,
        Learning::Off => 2,
        Learning::Heuristic => 3,
    };
    let mut number = |key: &str, value: i128| {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{key} = {value}");
    };
    number("kernel_table", table);
    number("default_tos", call.tos.into());
    number(
        "num_threads",
        i128::try_from(config.num_threads.get()).unwrap_or(i128::MAX),
    );
    number("dtls_mtu", config.dtls.mtu.into());
    for (key, is_on) in [
        ("no_fallback", config.kernel == KernelChoice::Required),
        ("reject_invalid_sdp", call.reject_invalid_sdp),
        ("moh_prevent_double_hold", call.music.prevent_double_hold),
    ] {
        number(key, i128::from(is_on));
    }
    number("endpoint_learning", learning);
    let interval = call.rtcp_interval.as_micros();
    number("rtcp_interval_us", i128::try_from(interval).unwrap_or(i128::MAX));
    let mut index = 0;
    for (_, interface) in call.interfaces.real() {
        for address in &interface.addresses {
            let local = usize::from(address.local.0);
            let ports = &config.ports[local].ports;
            let local = call.interfaces.addresses[local];
            let (min, max) = (ports.start(), ports.end());
            let _ = writeln!(
                text,
                "interface[{index}] = {}\\{local}\nport_min[{index}] = {min}\nport_max[{index}] = {max}",
                interface.name
            );
            index += 1;
        }
    }
    let _ = writeln!(text, "dtls_ciphers = {}", config.dtls.ciphers);
    let listen = &config.listen;
    for (key, addresses) in [
        ("ng_listen_ep", &listen.ng),
        ("ng_tcp_listen_ep", &listen.tcp_ng),
        ("cli_listen_ep", &listen.cli),
    ] {
        for address in addresses {
            let _ = writeln!(text, "{key} = {address}");
        }
    }
    text
}
