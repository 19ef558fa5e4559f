// SPDX-License-Identifier: Apache-2.0
//! kubeadm's configuration: what a machine fills into it, and how long its tokens and certificates are good.

pub mod expiry;
pub mod prepare;
