// SPDX-License-Identifier: Apache-2.0
//! kubeadm's configuration: what it asks for, what a machine fills into it, how long its tokens and certificates are good, and whether it
//! is written at all; the form of its command lines, and the files that they name.

pub mod asked;
pub mod cluster_info;
pub mod commands;
pub mod config_file;
pub mod credentials;
pub mod expiry;
pub mod kubeconfig;
mod placeholders;
pub mod prepare;
pub mod reads;
