// SPDX-License-Identifier: Apache-2.0
//! OpenNebula: a drive with `context.sh`, a list of assignments in a shell's syntax
//! ([contextualization](https://docs.opennebula.io/stable/management_and_operations/references/template.html#context-section)). Its
//! values are written by whoever makes the machine: they are read here, and never run.

use serde_json::Value as Json;

use super::drive::Place;
use super::{Error, Evidence, Platform, document};
use crate::decode::network;
use crate::decode::syntax::shell::assignments;
use crate::io::World;
use crate::model::facts::Facts;
use crate::model::instance::Instance;
use crate::model::problem::Problem;
use crate::model::secret::names_secret;

/// OpenNebula.
pub(super) const PLATFORM: Platform = Platform {
    id: "opennebula",
    name: "OpenNebula",
    aliases: &["one"],
    hint: "OpenNebula: give the machine a context with USER_DATA",
    evidence: |facts| Some(Evidence::Drive(facts.drive(LABEL)?.label.clone())),
    local: Some(read),
    complete: |world, facts, instance| {
        if instance.instance_id.is_empty() {
            instance.instance_id = document::own_id(world, facts)?;
        }
        Ok(())
    },
    ..Platform::NONE
};

/// The label of the drive, and the file on it.
const LABEL: &str = "CONTEXT";
const FILE: &str = "context.sh";

/// The values that name the machine, the one that counts first.
const NAMES: &[&str] = &["SET_HOSTNAME", "HOSTNAME", "PUBLIC_IP", "IP_PUBLIC", "ETH0_IP"];

/// The name of the machine, of which OpenNebula lets a person make any text, as its own scripts take it: with `-` for what no name of a
/// machine can have.
fn take_name(place: &str, given: &str, instance: &mut Instance) -> Result<(), Error> {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '-' };
    let labels = given.trim().split('.').map(|label| label.chars().map(plain).collect::<String>());
    let labels: Vec<String> = labels.map(|label| label.trim_matches('-').to_owned()).collect();
    let name = labels.into_iter().filter(|label| !label.is_empty()).collect::<Vec<_>>().join(".");
    if name != given.trim().trim_end_matches('.') {
        let what = "a machine's name can have letters, digits, `-` and dots, and this machine takes `-` for the rest";
        instance.problems.push(Problem::warning(place, what).cure("rename the machine"));
    }
    if name.is_empty() { Ok(()) } else { document::take_hostname(place, &name, instance) }
}

fn read(world: &dyn World, _: &Facts) -> Result<Option<Instance>, Error> {
    let links = world.links()?;
    let Some(bytes) = Place::Drive(LABEL).read(world, FILE)? else { return Ok(None) };
    let text = std::str::from_utf8(&bytes).map_err(|_| Problem::error(FILE, "not UTF-8 text"))?;
    let at_line = |problem: Problem| Problem { place: format!("{FILE}: {}", problem.place), ..problem };
    let values = assignments(text).map_err(at_line)?;
    let get = |name: &str| values.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
    let first = |names: &[&str]| names.iter().find_map(|name| get(name));
    let id = get("VMID").unwrap_or_default().to_owned();
    let mut instance = Instance { instance_id: id, ..Instance::default() };
    let named = NAMES.iter().find_map(|name| Some((name, get(name)?)));
    if let Some((name, given)) = named {
        take_name(&format!("{FILE}: {name}"), given, &mut instance)?;
    }
    instance.node_name = instance.hostname.clone();
    instance.ssh_keys = document::lines(first(&["SSH_KEY", "SSH_PUBLIC_KEY"]).unwrap_or_default());
    if let Some(data) = first(&["USER_DATA", "USERDATA"]) {
        let encoding = first(&["USER_DATA_ENCODING", "USERDATA_ENCODING"]);
        instance.user_data = Some(match encoding {
            Some(e) if e.eq_ignore_ascii_case("base64") => {
                document::base64(&format!("{FILE}: USER_DATA"), data.as_bytes())?
            }
            _ => data.into(),
        });
    }
    instance.addresses.local_v4 = get("ETH0_IP").and_then(|a| a.parse().ok());
    let plain = |name: &String| {
        !name.starts_with("USER_DATA") && !name.starts_with("USERDATA") && !names_secret(name)
    };
    let values = values.iter().filter(|(name, _)| plain(name));
    instance.metadata = values.map(|(name, value)| (name.clone(), Json::from(value.as_str()))).collect();
    let (cards, problems) = network::cards_of_opennebula(FILE, &get, &links);
    instance.problems.extend(problems);
    document::read_cards(cards, &mut instance)?;
    Ok(Some(instance))
}
