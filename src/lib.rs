// SPDX-License-Identifier: Apache-2.0
//! x

pub mod decode;
pub mod model;
pub mod plan;
