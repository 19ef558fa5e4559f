// SPDX-License-Identifier: Apache-2.0
//! Decoders: bytes in, model out. Pure: no I/O, no panic, bounded in size, depth and time.

pub mod network;
pub mod yaml;
