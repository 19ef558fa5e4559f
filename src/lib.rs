// SPDX-License-Identifier: Apache-2.0
//! Sets up a Flatcar node from its platform's metadata and Cluster API's bootstrap data.
//!
//! The modules stand in the order of their imports, which point one way. Only `io` touches the machine. `ARCHITECTURE.md`
//! tells the rest.

pub mod model;

pub mod decode;
pub mod plan;

pub mod io;

pub mod apply;
pub mod bake;
pub mod diagnosis;
pub mod platform;

pub mod pipeline;

pub mod cli;
pub mod commands;
pub mod log;
