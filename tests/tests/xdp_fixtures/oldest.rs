//! What the program asks of the oldest kernel that the README promises, which is not at hand: read off its instructions.

use std::collections::BTreeSet;
use std::io::Write;

use relay_daemon::datapath::kernel::program::PROGRAM;

/// The helpers that the program may call, by their numbers in `enum bpf_func_id` of linux/bpf.h, and the kernel that was the first
/// to have each for XDP programs. The README promises 5.15.
const HELPERS: [(i32, &str, (u32, u32)); 7] = [
    (1, "map_lookup_elem", (4, 8)),
    (5, "ktime_get_ns", (4, 8)),
    (8, "get_smp_processor_id", (4, 8)),
    (23, "redirect", (4, 14)),
    (44, "xdp_adjust_head", (4, 10)),
    (118, "jiffies64", (5, 6)),
    (160, "ktime_get_coarse_ns", (5, 11)),
];

const OLDEST: (u32, u32) = (5, 15);

/// One instruction: operation, source register, immediate.
struct Instruction {
    operation: u8,
    source: u8,
    immediate: i32,
}

/// All instructions of an ELF object for this machine's byte order.
fn instructions(object: &[u8]) -> Vec<Instruction> {
    const SECTION: usize = 64;
    const EXECUTABLE: u64 = 4;
    const WIDE: u8 = 0x18;
    let word = |at: usize| u64::from_le_bytes(object[at..at + 8].try_into().unwrap());
    let half = |at: usize| usize::from(u16::from_le_bytes(object[at..at + 2].try_into().unwrap()));
    let place = |value: u64| usize::try_from(value).unwrap();
    let sections = (0..half(0x3c)).map(|number| place(word(0x28)) + number * SECTION);
    let mut all = Vec::new();
    for section in sections.filter(|section| word(section + 8) & EXECUTABLE != 0) {
        let start = place(word(section + 24));
        let code = &object[start..start + place(word(section + 32))];
        let mut rest = code.chunks_exact(8);
        while let Some(bytes) = rest.next() {
            all.push(Instruction {
                operation: bytes[0],
                source: bytes[1] >> 4,
                immediate: i32::from_le_bytes(bytes[4..8].try_into().unwrap()),
            });
            if bytes[0] == WIDE {
                // Its second half is no instruction.
                rest.next();
            }
        }
    }
    all
}

#[test]
fn only_what_the_oldest_kernel_has_is_used() {
    const CALL: u8 = 0x85;
    /// `BPF_PSEUDO_CALL`: another function of the program.
    const OWN: u8 = 1;
    /// Atomic operations on 64 bits. All of them are there since Linux 5.12, on x86; adding has been from the beginning.
    const ATOMIC: u8 = 0xdb;
    let instructions = instructions(PROGRAM);
    let calls = instructions
        .iter()
        .filter(|instruction| instruction.operation == CALL);
    let foreign = calls.filter(|call| call.source != OWN);
    let mut used = BTreeSet::new();
    for call in foreign {
        assert_eq!(
            call.source, 0,
            "a call of a function of the kernel that is no helper"
        );
        let known = HELPERS.iter().find(|(number, ..)| *number == call.immediate);
        let (_, name, since) = known.unwrap_or_else(|| panic!("helper {} is not listed", call.immediate));
        assert!(*since <= OLDEST, "{name} is there since {since:?}");
        used.insert(*name);
    }
    assert_eq!(used.len(), HELPERS.len(), "{used:?}");
    let atomic = instructions
        .iter()
        .filter(|instruction| instruction.operation == ATOMIC);
    // Not by a macro: what these print is only shown of tests that fail.
    let line = format!(
        "instructions: {}, {} of them atomic; helpers, all there in Linux {}.{}: {used:?}\n",
        instructions.len(),
        atomic.count(),
        OLDEST.0,
        OLDEST.1
    );
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}
