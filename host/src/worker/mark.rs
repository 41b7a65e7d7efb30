//! Which call a worker is at: a number in memory that host and worker share, so that it can still be read when the worker
//! has died.
//!
//! What stands there is the worker's word. It decides which of the connector's own inputs is blamed, and nothing else.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    ptr::NonNull,
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::{
    fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create},
    mm::{MapFlags, ProtFlags, mmap, munmap},
};

/// No call has this number.
const NONE: u64 = 0;

const LEN: usize = size_of::<AtomicU64>();

/// The shared number.
#[derive(Debug)]
pub(super) struct Mark(NonNull<AtomicU64>);

#[allow(unsafe_code, reason = "a pointer says nothing of threads by itself")]
// SAFETY: it is a pointer to an atomic in a mapping that lives as long as the value does.
unsafe impl Send for Mark {}
#[allow(unsafe_code, reason = "a pointer says nothing of threads by itself")]
// SAFETY: as above; every access is atomic.
unsafe impl Sync for Mark {}

/// Memory for a mark, as a file that can be passed on.
pub(super) fn file() -> io::Result<OwnedFd> {
    let file = memfd_create("call", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    ftruncate(&file, LEN as u64)?;
    // Cut short, it would kill whoever looks.
    fcntl_add_seals(&file, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW)?;
    Ok(file)
}

impl Mark {
    /// The mark in this file. The host's side only looks.
    #[allow(unsafe_code, reason = "memory is shared by mapping it")]
    pub(super) fn of(file: impl AsFd, may_set: bool) -> io::Result<Self> {
        let protection = if may_set { ProtFlags::READ | ProtFlags::WRITE } else { ProtFlags::READ };
        // SAFETY: the kernel chooses the place; the file is as long as the mapping and sealed against being cut short.
        let at = unsafe { mmap(std::ptr::null_mut(), LEN, protection, MapFlags::SHARED, file, 0) }?;
        NonNull::new(at.cast()).map(Self).ok_or_else(|| io::Error::other("memory at no address"))
    }

    #[allow(unsafe_code, reason = "the mapping is reached by its address")]
    fn number(&self) -> &AtomicU64 {
        // SAFETY: the mapping is there until `self` is dropped, aligned to a page, and as long as the number; all bytes are a
        // value of it, and whoever else has it changes it by atomic stores.
        unsafe { self.0.as_ref() }
    }

    /// Says that this call goes on now.
    pub(super) fn set(&self, call: u64) {
        self.number().store(call, Ordering::Release);
    }

    /// Says that none does.
    pub(super) fn clear(&self) {
        self.set(NONE);
    }

    /// The call that goes on.
    pub(super) fn get(&self) -> Option<u64> {
        Some(self.number().load(Ordering::Acquire)).filter(|call| *call != NONE)
    }
}

impl Drop for Mark {
    #[allow(unsafe_code, reason = "what was mapped is unmapped")]
    fn drop(&mut self) {
        // SAFETY: it is our own mapping of this length, and nothing refers to it any more.
        let _ = unsafe { munmap(self.0.as_ptr().cast(), LEN) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_side_sets_the_other_sees_and_nobody_can_cut_it_short() {
        let file = file().unwrap();
        let (worker, host) = (Mark::of(&file, true).unwrap(), Mark::of(&file, false).unwrap());
        assert_eq!(host.get(), None);
        worker.set(7);
        assert_eq!(host.get(), Some(7));
        worker.clear();
        assert_eq!(host.get(), None);
        assert!(ftruncate(&file, 0).is_err());
    }
}
