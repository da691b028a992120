//! The one table of options. Command line, configuration file, help and warnings all go by it.

/// One option: `--name` on the command line, `name = value` in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct OptionSpec {
    /// Long name.
    pub(super) name: &'static str,
    /// Short form.
    pub(super) short: Option<char>,
    /// What follows the name.
    pub(super) kind: Kind,
    /// Whether it does something.
    pub(super) support: Support,
}

/// What follows an option's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing on the command line, `true` or `false` in the file.
    Flag,
    /// One value; a later one replaces an earlier one. Holds the value's name in the help text.
    Value(&'static str),
    /// Several values: repeated on the command line, separated by `;` in the file.
    List(&'static str),
    /// Nothing: the daemon does it and exits. Not for the file.
    Act,
}

/// Whether an option does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Support {
    /// It does what the text says.
    Built(&'static str),
    /// Accepted in silence: it says how the reference does something that is done otherwise here, or not at all, and that
    /// nobody would miss.
    Meaningless,
    /// Known, accepted with a warning, and ignored.
    NotBuilt,
}

/// The option of a long name.
pub(super) fn find(name: &str) -> Option<&'static OptionSpec> {
    OPTIONS.iter().find(|option| option.name == name)
}

/// The options `log-level-NAME`, and the names in them.
pub(super) fn log_levels() -> impl Iterator<Item = (&'static str, &'static str)> {
    OPTIONS
        .iter()
        .filter_map(|option| Some((option.name, option.name.strip_prefix("log-level-")?)))
}

const fn flag(name: &'static str, short: Option<char>, help: &'static str) -> OptionSpec {
    built(name, short, Kind::Flag, help)
}

const fn value(
    name: &'static str,
    short: Option<char>,
    shape: &'static str,
    help: &'static str,
) -> OptionSpec {
    built(name, short, Kind::Value(shape), help)
}

const fn list(
    name: &'static str,
    short: Option<char>,
    shape: &'static str,
    help: &'static str,
) -> OptionSpec {
    built(name, short, Kind::List(shape), help)
}

const fn built(name: &'static str, short: Option<char>, kind: Kind, help: &'static str) -> OptionSpec {
    OptionSpec {
        name,
        short,
        kind,
        support: Support::Built(help),
    }
}

const fn later(name: &'static str, short: Option<char>, kind: Kind) -> OptionSpec {
    OptionSpec {
        name,
        short,
        kind,
        support: Support::NotBuilt,
    }
}

const fn meaningless(name: &'static str, kind: Kind) -> OptionSpec {
    OptionSpec {
        name,
        short: None,
        kind,
        support: Support::Meaningless,
    }
}

const fn no_value(name: &'static str) -> OptionSpec {
    meaningless(name, Kind::Value("VALUE"))
}

const fn no_flag(name: &'static str) -> OptionSpec {
    meaningless(name, Kind::Flag)
}

const fn later_flag(name: &'static str) -> OptionSpec {
    later(name, None, Kind::Flag)
}

const fn later_value(name: &'static str) -> OptionSpec {
    later(name, None, Kind::Value("VALUE"))
}

const fn later_list(name: &'static str) -> OptionSpec {
    later(name, None, Kind::List("VALUE"))
}

/// All options, in the order of the help text; those that are not built follow by subject.
#[rustfmt::skip]
pub(super) const OPTIONS: &[OptionSpec] = &[
    built("help", Some('h'), Kind::Act, "Print this text and exit"),
    built("codecs", None, Kind::Act, "Print which codecs are decoded and encoded, and exit"),
    built("version", Some('v'), Kind::Act, "Print the version and exit"),
    built("cleanup", None, Kind::Act, "Remove what a daemon that was killed has left in the kernel, and exit"),
    value("config-file", None, "FILE", "Configuration file, `none` for none [default: /etc/rtpengine/rtpengine.conf if it exists]"),
    value("templates", None, "NAME", "Section of the configuration file that holds templates: options for messages, by name"),
    value("transcode-config", None, "PREFIX", "Sections [PREFIX-NAME] of the configuration file say which codecs are preferred in the place of which others"),
    value("config-section", None, "NAME", "Section of the configuration file [default: rtpengine]"),

    list("interface", Some('i'), "[NAME/]ADDR[!ADVERTISED]", "Where media is received: an address, system interface, host name or `any`; or ALIAS=NAME; names BASE:SUFFIX take turns as BASE; repeatable"),
    value("interfaces-config", None, "PREFIX", "Sections [PREFIX-NAME] of the configuration file describe interfaces, with ports of their own"),
    list("listen-ng", Some('n'), "[ADDR:]PORT", "UDP address of the ng control protocol; repeatable"),
    value("control-tos", None, "0..255", "TOS of replies of that; 0 leaves it as the system has it [default: 0]"),
    value("control-pmtu", None, "want|dont", "Whether the system finds out how long replies of that may be (want) or lets routers fragment them (dont)"),
    list("listen-tcp-ng", Some('N'), "[ADDR:]PORT", "TCP address of the same; repeatable"),
    list("listen-cli", Some('c'), "[ADDR:]PORT", "TCP address of the CLI; repeatable"),
    list("listen-http", None, "[ADDR:]PORT", "TCP address for HTTP and WebSocket; repeatable"),
    list("listen-https", None, "[ADDR:]PORT", "The same over TLS; repeatable"),
    value("https-cert", None, "FILE", "Certificate for that, with its chain (PEM)"),
    value("https-key", None, "FILE", "Its key (PEM) [default: https-cert]"),
    value("http-idle-timeout", None, "SECONDS", "How long an HTTP connection may be silent between two requests; 0: 30 [default: 0]"),
    flag("save-interface-ports", Some('S'), "Use one address of an interface only, also with ICE"),
    value("software-id", None, "TEXT", "Who the relay is to others: s= of its own SDPs, SOFTWARE in STUN [default: relay and its version]"),
    value("port-min", Some('m'), "PORT", "Lowest media port [default: 30000]"),
    value("port-max", Some('M'), "PORT", "Highest media port [default: 39999]"),
    value("table", Some('t'), "N", "0 or more: relay in the kernel where that works; -1: in userspace only [default: 0]"),
    flag("no-fallback", Some('F'), "Refuse to start if the kernel cannot relay"),
    value("xdp-mode", None, "MODE", "How the XDP program is attached: auto (native where the driver takes it, else generic), native, generic or off [default: auto]"),
    list("xdp-interface", None, "DEVICE[=MODE]", "The only devices that it is attached to and sends by, each with a mode of its own if need be; with =off, one that it leaves alone; repeatable [default: all]"),
    value("unexpected-limit", None, "N", "Drop what comes to a media port from elsewhere than expected, above so many packets a second; 0: never [default: 500]"),
    value("unexpected-network-limit", None, "N", "The same for each network that sends it (/24, of IPv6 /48), over all ports; 0: never [default: 10000]"),
    flag("drop-unclaimed", None, "In the kernel: drop all that comes to media ports that are not in use; nothing else on the host may use ports of these ranges"),
    value("num-threads", None, "N", "Media worker threads [default: number of CPU cores, at least 4]"),

    value("gather-time", None, "MICROSECONDS", "How long those that are busy let packets gather: as much later may one be sent, and the processor time for each is less; 0: not at all [default: 400]"),
    value("thread-stack", None, "KILOBYTES", "Stack of those; 0 leaves it to the system [default: 0]"),
    value("scheduling", None, "POLICY", "How the system schedules them: default, none, fifo, rr, other, batch or idle [default: none]"),
    value("priority", None, "N", "Their priority: 1 to 99 with fifo and rr, else as with nice [default: 0]"),
    value("idle-scheduling", None, "POLICY", "The same for threads that are in no hurry (certificates)"),
    value("idle-priority", None, "N", "Their priority"),

    value("timeout", Some('o'), "SECONDS", "End a call when none of its receiving streams had a packet for so long [default: 60]"),
    value("silent-timeout", Some('s'), "SECONDS", "The same for a call whose streams are all on hold [default: 3600]"),
    value("offer-timeout", None, "SECONDS", "The same for a call that nobody answered [default: 3600]"),
    value("final-timeout", Some('a'), "SECONDS", "End every call after so long; 0: never [default: 0]"),
    value("delete-delay", Some('d'), "SECONDS", "How long a deleted call lives on [default: 30]"),
    value("max-sessions", None, "N", "Refuse offers of new calls above so many; -1: no limit [default: -1]"),
    value("max-load", None, "LOAD", "The same while the load average over a minute is so high; 0: never [default: 0]"),
    value("max-cpu", None, "PERCENT", "The same while the processors are so busy; 0: never [default: 0]"),
    value("max-bandwidth", None, "BYTES", "The same while so much is received in a second; 0: never [default: 0]"),

    value("tos", Some('T'), "0..255", "TOS of relayed media; 0 leaves it as the system has it [default: 0]"),
    value("endpoint-learning", None, "MODE", "How the source of media is learned: delayed, immediate, off or heuristic [default: heuristic]"),
    value("moh-attr-name", None, "NAME", "Attribute of the session that tells other relays of music on hold"),
    flag("moh-prevent-double-hold", None, "Play no music on hold for a party that has the attribute in its own SDP"),
    list("mos", None, "WHAT", "How good calls sound, of what RTCP reports: CQ or LQ (without the delay), G.107, G.107.2 or legacy [default: CQ, simplified G.107]"),
    value("ssrc-reporting", None, "FORM", "Where replies have the statistics of SSRCs: full, inline, global or none [default: full]"),
    flag("measure-rtp", None, "Accepted: losses and jitter are always measured"),
    value("rtcp-interval", None, "MILLISECONDS", "Between reports where the relay writes RTCP itself; up to a second is added at random [default: 5000]"),
    flag("sip-source", None, "Take media addresses from the SIP message unless it says otherwise"),
    flag("reject-invalid-sdp", None, "Refuse an SDP that cannot be parsed instead of passing it on"),

    value("dtls-cert-cipher", None, "KIND", "Key of the DTLS certificate: prime256v1 or RSA [default: prime256v1]"),
    value("dtls-rsa-key-size", None, "BITS", "Length of its key if that is RSA [default: 2048]"),
    value("dtls-signature", None, "HASH", "How it is signed: SHA-256 or SHA-1 [default: SHA-256]"),
    value("dtls-cert-lifetime", None, "SECONDS", "How long it is valid; new calls get another one after half of that [default: 2592000]"),
    value("dtls-version", None, "VERSION", "Oldest version of DTLS that is spoken: 1.0 or 1.2 [default: 1.2]"),
    value("dtls-ciphers", None, "LIST", "Ciphers of DTLS handshakes, as OpenSSL writes them [default: as rtpengine]"),
    value("dtls-mtu", None, "BYTES", "Longest datagram of a DTLS handshake [default: 1200]"),
    flag("dtls-passive", None, "Let the other side open DTLS associations where it leaves the choice to us"),

    flag("foreground", Some('f'), "Stay in the foreground"),
    value("pidfile", Some('p'), "FILE", "Write the process id to a file"),
    value("log-level", Some('L'), "0..7", "Highest syslog level that is logged [default: 6]"),
    value("log-level-core", None, "LEVEL", "The same for what belongs to no other subsystem [default: log-level]"),
    value("log-level-ffmpeg", None, "LEVEL", "The same for the subsystem ffmpeg"),
    value("log-level-internals", None, "LEVEL", "The same for the subsystem internals"),
    value("log-level-spandsp", None, "LEVEL", "The same for the subsystem spandsp"),
    value("log-level-transcoding", None, "LEVEL", "The same for the subsystem transcoding"),
    value("log-level-codec", None, "LEVEL", "The same for the subsystem codec"),
    value("log-level-rtcp", None, "LEVEL", "The same for the subsystem rtcp"),
    value("log-level-ice", None, "LEVEL", "The same for the subsystem ice"),
    value("log-level-crypto", None, "LEVEL", "The same for the subsystem crypto"),
    value("log-level-srtp", None, "LEVEL", "The same for the subsystem srtp"),
    value("log-level-http", None, "LEVEL", "The same for the subsystem http"),
    value("log-level-control", None, "LEVEL", "The same for the subsystem control"),
    value("log-level-dtx", None, "LEVEL", "The same for the subsystem dtx"),
    flag("log-stderr", Some('E'), "Log to standard error instead of syslog"),
    value("log-facility", None, "NAME", "Syslog facility [default: daemon]"),
    value("log-name", None, "NAME", "Name in syslog [default: relay]"),
    flag("no-log-timestamps", None, "No time stamps on standard error"),
    flag("split-logs", None, "Log each line of a message for itself"),
    value("max-log-line-length", None, "BYTES", "Break longer lines; 0: none [default: 500 for syslog, 0 for standard error]"),
    value("log-mark-prefix", None, "TEXT", "Stands in front of what tells who talks to whom: call-ids, tags, addresses"),
    value("log-mark-suffix", None, "TEXT", "Stands behind it"),
    value("log-format", None, "FORMAT", "default or parsable; values have names in both, `call=...`"),
    flag("log-srtp-keys", None, "Log the keys of SRTP, as errors"),

    // How the reference works inside, and its kernel module and firewall.
    no_value("http-threads"), no_value("http-buf-size"),
    no_value("poller-size"), no_flag("poller-per-thread"), no_value("max-recv-iters"), no_value("timer-accuracy"),
    no_flag("io-uring"), no_value("io-uring-buffers"), no_value("socket-cpu-affinity"), no_flag("debug-srtp"),
    no_value("nftables-chain"), no_value("nftables-base-chain"), no_flag("nftables-append"),
    no_value("nftables-family"), no_flag("xtables"), no_value("iptables-chain"),
    meaningless("nftables-start", Kind::Act), meaningless("nftables-stop", Kind::Act),
    meaningless("nftables-status", Kind::Act),
    no_value("kernel-num-threads"), no_value("kernel-slots"),
    no_value("kernel-player"), no_value("kernel-player-media"),

    // Interfaces and control.
    later("listen-udp", Some('u'), Kind::List("VALUE")),
    later("listen-tcp", Some('l'), Kind::List("VALUE")),

    // Threads.
    later_value("media-num-threads"), later_value("codec-num-threads"),

    // Logging.
    later_value("log-facility-cdr"), later_value("log-facility-rtcp"), later_value("log-facility-dtmf"),

    // Redis.
    later("redis", Some('r'), Kind::Value("VALUE")),
    later("redis-write", Some('w'), Kind::Value("VALUE")),
    later_value("redis-subscribe"),
    later("subscribe-keyspace", Some('k'), Kind::List("VALUE")),
    later_value("redis-num-threads"), later_value("redis-expires"),
    later("no-redis-required", Some('q'), Kind::Flag),
    later_value("redis-allowed-errors"), later_value("redis-disable-time"),
    later_value("redis-cmd-timeout"), later_value("redis-connect-timeout"),
    later_flag("redis-resolve-on-reconnect"), later_value("redis-tcp-keepalive-time"),
    later_value("redis-tcp-keepalive-intvl"), later_value("redis-tcp-keepalive-probes"),
    later_value("redis-format"), later_flag("active-switchover"),

    // Recording, DTMF, Homer, Graphite, MQTT, callbacks.
    later_value("recording-dir"), later_value("recording-method"), later_value("recording-format"),
    later_flag("record-egress"), later_flag("record-both"),
    later_value("dtmf-log-dest"), later_flag("dtmf-log-ng-tcp"), later_flag("dtmf-no-suppress"),
    later_flag("dtmf-no-log-injects"), later_value("dtmf-digit-delay"),
    later_value("homer"), later_value("homer-protocol"), later_value("homer-id"),
    later_flag("homer-disable-rtcp-stats"), later_flag("homer-enable-ng"),
    later_value("homer-ng-capture-proto"),
    later("graphite", Some('g'), Kind::Value("VALUE")),
    later("graphite-interval", Some('G'), Kind::Value("VALUE")),
    later_value("graphite-prefix"), later_value("graphite-timeout"),
    later("b2b-url", Some('b'), Kind::Value("VALUE")),
    later("xmlrpc-format", Some('x'), Kind::Value("VALUE")),
    later_value("mqtt-host"), later_value("mqtt-port"), later_value("mqtt-id"),
    later_value("mqtt-keepalive"), later_value("mqtt-user"), later_value("mqtt-pass"),
    later_value("mqtt-cafile"), later_value("mqtt-capath"), later_value("mqtt-certfile"),
    later_value("mqtt-keyfile"), later_value("mqtt-tls-alpn"), later_value("mqtt-publish-qos"),
    later_value("mqtt-publish-topic"), later_value("mqtt-publish-interval"),
    later_value("mqtt-publish-scope"), later_value("janus-secret"),

    // Media processing.
    later_value("jitter-buffer"), later_flag("jb-clock-drift"), later_flag("jb-adaptive"),
    later_value("jb-adaptive-min"), later_value("jb-adaptive-max"),
    later_value("dtx-delay"), later_value("max-dtx"), later_value("dtx-buffer"), later_value("dtx-lag"),
    later_value("dtx-shift"), later_list("dtx-cn-params"), later_value("amr-dtx"), later_value("evs-dtx"),
    later_value("silence-detect"), later_list("cn-payload"),
    later_value("audio-player"), later_value("audio-buffer-length"), later_value("audio-buffer-delay"),
    later_flag("player-cache"), later_list("preload-media-files"), later_list("preload-db-media"),
    later_list("preload-db-cache"),
    later_value("media-files-reload"), later_value("db-media-reload"), later_value("db-cache-reload"),
    later_value("media-files-expire"), later_value("db-media-expire"), later_value("db-cache-expire"),
    later_value("expiry-timer"), later_value("db-media-cache"),
    later_value("mysql-host"), later_value("mysql-port"), later_value("mysql-user"),
    later_value("mysql-pass"), later_value("mysql-query"), later_value("evs-lib-path"),
    later_value("moh-max-duration"), later_value("moh-max-repeats"),
    later_value("vsc-start-rec"), later_value("vsc-stop-rec"), later_value("vsc-start-stop-rec"),
    later_value("vsc-pause-rec"), later_value("vsc-pause-resume-rec"),
    later_value("vsc-start-pause-resume-rec"),
    
    later_value("ng-client-timeout"), later_value("ng-client-retries"),
    later_value("codec-chain-lib-path"), later_value("codec-chain-runners"),
    later_value("codec-chain-concurrency"), later_value("codec-chain-async"),
    later_value("codec-chain-opus-application"), later_value("codec-chain-opus-complexity"),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_and_short_forms_are_unique() {
        let names: HashSet<_> = OPTIONS.iter().map(|option| option.name).collect();
        assert_eq!(names.len(), OPTIONS.len());
        let shorts: Vec<_> = OPTIONS.iter().filter_map(|option| option.short).collect();
        assert_eq!(shorts.iter().collect::<HashSet<_>>().len(), shorts.len());
    }
}
