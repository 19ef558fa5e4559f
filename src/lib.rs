// SPDX-License-Identifier: Apache-2.0
//! Sets up a Flatcar node from its provider's metadata and Cluster API's bootstrap data.
//!
//! The modules stand in the order of the pipe:
//!
//! ```text
//! Facts ──detect──▶ Provider ──fetch──▶ Instance ──decode──▶ NodeConfig ──plan──▶ Plan ──apply──▶ Outcome ──start──▶ report
//! ```
//!
//! Imports point one way: `model` ← {`decode`, `plan`}; `model` ← `io` ← {`platform`, `apply`, `state`, `report`} ←
//! `run` ← `main`. Only `io` touches the machine. `ARCHITECTURE.md` tells the rest.

pub mod model;

pub mod error;
pub mod io;

pub mod platform;
pub mod sources;

pub mod decode;

pub mod plan;

pub mod apply;
pub mod online;
pub mod state;

pub mod bake;
pub mod capture;
pub mod report;
pub mod timeline;

pub mod cli;
pub mod log;
pub mod run;
