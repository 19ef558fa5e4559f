// SPDX-License-Identifier: Apache-2.0
//! Hands: the only place that touches the world.

pub mod guestinfo;
