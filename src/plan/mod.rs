// SPDX-License-Identifier: Apache-2.0
//! Plans: model in, model out. Pure: what is to be on the machine, before anything touches it.

pub mod network;
