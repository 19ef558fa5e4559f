// SPDX-License-Identifier: Apache-2.0
//! Sets up a Flatcar node from its platform's metadata and Cluster API's bootstrap data.
//!
//! The modules stand in the order of their imports, which point one way. Only `io` touches the machine. `ARCHITECTURE.md`
//! tells the rest. The program is [`run()`]; tests, benchmarks and fuzz targets see what [`facade`] lists, so the compiler finds what
//! nothing uses.

mod model;

mod decode;
mod plan;

mod io;

mod apply;
mod bake;
mod diagnosis;
mod platform;

mod pipeline;

mod cli;
mod commands;
mod log;

mod run;

pub mod facade;

pub use self::run::run;
