// SPDX-License-Identifier: Apache-2.0
//! What several tests share.

pub mod authority;
pub mod cases;
pub mod cluster;
pub mod debian;
pub mod disk;
pub mod fresh;
pub mod imds;
pub mod moto;
#[macro_use]
pub mod needs;
pub mod node;
pub mod oracle;
pub mod random;
pub mod sandbox;
pub mod scratch;
pub mod server;
pub mod vmware;
