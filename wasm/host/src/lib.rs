//! The exports of `wasm/README.md`, and nothing else: buffers in and out, [`postroom_core::dispatch`] between.
//!
//! Names are prefixed, as `free` and `malloc` are wasi-libc's. `_initialize` is defined here, so that the
//! linker does not wrap every export in the constructors of a command.
//!
//! A panic is a trap: the host throws the instance away and tells nobody the payload.
#![cfg(target_family = "wasm")]
// The boundary is pointers. Each unsafe block says what the host owes.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc};

unsafe extern "C" {
    fn __wasm_call_ctors();
}

/// Starts the reactor: once for an instance, before anything else.
#[unsafe(no_mangle)]
pub extern "C" fn _initialize() {
    // SAFETY: the linker makes this function, and the host calls `_initialize` once.
    unsafe { __wasm_call_ctors() }
}

/// Its presence is the version of the ABI.
#[unsafe(no_mangle)]
pub extern "C" fn core_abi_v1() {}

/// A buffer of `len` octets for the host to write to; 0 when there is no memory, or when `len` is 0.
#[unsafe(no_mangle)]
pub extern "C" fn core_alloc(len: usize) -> *mut u8 {
    match Layout::array::<u8>(len) {
        // SAFETY: the layout is not empty.
        Ok(layout) if len > 0 => unsafe { alloc(layout) },
        _ => std::ptr::null_mut(),
    }
}

/// Gives back a buffer of [`core_alloc`] or a reply of [`core_call`], with the length it had.
///
/// # Safety
/// `ptr` and `len` are those of a buffer that the host owns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn core_free(ptr: *mut u8, len: usize) {
    if let (false, Ok(layout)) = (ptr.is_null() || len == 0, Layout::array::<u8>(len)) {
        // SAFETY: the host owns the buffer, which was allocated with this layout.
        unsafe { dealloc(ptr, layout) }
    }
}

/// Answers a request and frees it. The reply is `ptr << 32 | len` and the host's to free.
///
/// # Safety
/// `ptr` and `len` are those of a buffer of [`core_alloc`] that the host has filled.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn core_call(ptr: *mut u8, len: usize) -> u64 {
    let reply = if ptr.is_null() || len == 0 {
        postroom_core::dispatch(&[])
    } else {
        // SAFETY: the host hands over a buffer that was allocated with this length and is filled.
        let request = unsafe { Vec::from_raw_parts(ptr, len, len) };
        postroom_core::dispatch(&request)
    };
    let reply = reply.into_boxed_slice();
    let len = reply.len() as u64;
    let ptr = Box::into_raw(reply).cast::<u8>() as u64;
    ptr << 32 | len
}
