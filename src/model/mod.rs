// SPDX-License-Identifier: Apache-2.0
//! The nouns of the pipe: plain data that every other module speaks in. Imports nothing of ours.

pub mod certificate;
pub mod config;
pub mod containerd;
pub mod encoding;
pub mod facts;
pub mod fetch;
pub mod instance;
pub mod network;
pub mod paths;
pub mod plan;
pub mod policy;
pub mod problem;
pub mod secret;
pub mod status;
pub mod storage;
pub mod time;
pub mod unit;
pub mod wire;
