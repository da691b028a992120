//! A local port in the tables.

use relay_common::slot::{Annex, PassReason, RuleHead, RuleTail, Slot};

use crate::{ANNEXES, SLOTS};

/// A port that has a slot.
#[derive(Clone, Copy)]
pub struct Port {
    pub slot: *mut Slot,
    pub index: u32,
}

/// The rule in force.
#[derive(Clone, Copy)]
pub struct Rule {
    pub head: &'static RuleHead,
    index: u32,
    copy: usize,
}

impl Port {
    #[inline(always)]
    pub fn new(index: u32) -> Option<Self> {
        let slot = SLOTS.get_ptr_mut(index)?;
        Some(Self { slot, index })
    }

    #[inline(always)]
    pub fn state(self) -> u16 {
        // SAFETY: `slot` lies in a map value, which lives as long as the program.
        unsafe { (&raw const (*self.slot).state).read_volatile() }
    }

    #[inline(always)]
    pub fn rule(self) -> Result<Rule, PassReason> {
        // SAFETY: as above.
        let active = unsafe { (&raw const (*self.slot).active).read_volatile() };
        let copy = (active & 1) as usize;
        // SAFETY: the daemon leaves the active rule alone until the grace period after it became inactive.
        let head = unsafe {
            match copy {
                0 => &(*self.slot).rule,
                _ => &(*self.annex().ok_or(PassReason::Unsupported)?).rule,
            }
        };
        Ok(Rule {
            head,
            index: self.index,
            copy,
        })
    }

    /// The rest of the slot: other lines of memory. Every slot has one.
    #[inline(always)]
    pub fn annex(self) -> Option<*mut Annex> {
        ANNEXES.get_ptr_mut(self.index)
    }
}

impl Rule {
    /// What most packets do not need of it: another line of memory.
    #[inline(always)]
    pub fn tail(self) -> Result<&'static RuleTail, PassReason> {
        // Every slot has an annex.
        let annex = ANNEXES.get(self.index).ok_or(PassReason::Unsupported)?;
        // `copy` is 0 or 1; the verifier does not remember it.
        Ok(&annex.tails[self.copy & 1])
    }
}
