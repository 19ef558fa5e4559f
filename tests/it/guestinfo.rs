// SPDX-License-Identifier: Apache-2.0
//! guestinfo, from the first I/O instruction to the value: our client against a hypervisor that behaves and misbehaves,
//! and VMware's own client against the same hypervisor, so that the two are not wrong together.

use crate::common::vmware;

use std::process::{Command, Output};

use vmware::{GUESTINFO, Machine, rpctool};

const METADATA: &str = "guestinfo.metadata";
const VALUE: &[u8] = b"instance-id: node-1\nlocal-hostname: node-1\n";

/// Every kind of machine in which guestinfo works.
const GOOD: [&str; 7] = [
    "",
    "--no-iopl",
    "--no-high-bandwidth",
    "--no-high-bandwidth --no-iopl",
    "--broken-high-bandwidth",
    "--hypervisor restricted",
    "--cpuid",
];

#[track_caller]
fn succeeds(output: &Output) -> &[u8] {
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    &output.stdout
}

/// It ended by itself, with an error that says this.
#[track_caller]
fn fails(output: &Output, why: &str) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains(why), "{error}");
    assert!(output.stdout.is_empty());
}

fn machine(name: &str) -> Machine {
    let machine = Machine::new(name);
    machine.put(METADATA, VALUE);
    machine
}

fn get(machine: &Machine, options: &str, key: &str) -> Output {
    machine.run(options, &[&GUESTINFO, "get", key])
}

#[test]
fn reads_a_key_in_every_good_machine() {
    for (number, options) in GOOD.into_iter().enumerate() {
        let machine = machine(&format!("good-{number}"));
        assert_eq!(succeeds(&get(&machine, options, METADATA)), VALUE, "{options}");
        let log = machine.log();
        let bandwidth = if options.contains("high-bandwidth") { "low" } else { "high" };
        assert!(log.contains(&format!("rpc {bandwidth} \"info-get {METADATA}\"")), "{options}: {log}");
        let privilege = if options.contains("--no-iopl") { "ioperm refused" } else { "ioperm returned" };
        assert!(log.contains(privilege), "{options}: {log}");
    }
}

#[test]
fn reads_long_values_whole() {
    // 300 kB of which no two neighbouring groups of four are equal, and whose length no group divides.
    let value: String = (0..50_000).map(|number| format!("{number:06}")).collect::<String>() + "end";
    let machine = Machine::new("long");
    machine.put("guestinfo.userdata", &value);
    for options in ["", "--no-high-bandwidth", "--broken-high-bandwidth"] {
        let output = get(&machine, options, "guestinfo.userdata");
        assert!(succeeds(&output) == value.as_bytes(), "{options}");
    }
}

#[test]
fn reads_values_of_every_short_length() {
    let machine = Machine::new("short");
    for length in 0..9 {
        machine.put("guestinfo.short", &"abcdefgh"[..length]);
        for options in ["", "--no-high-bandwidth"] {
            assert_eq!(succeeds(&get(&machine, options, "guestinfo.short")), &b"abcdefgh"[..length]);
        }
    }
}

#[test]
fn a_missing_key_is_no_error() {
    let output = get(&machine("missing"), "", "guestinfo.vendordata");
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout.is_empty() && output.stderr.is_empty());
}

#[test]
fn writes_a_key_that_can_be_read() {
    for (number, options) in GOOD.into_iter().enumerate() {
        let machine = Machine::new(&format!("set-{number}"));
        for value in ["192.0.2.7", "two  words \u{e9}\n", ""] {
            succeeds(&machine.run(options, &[&GUESTINFO, "set", "guestinfo.local-ipv4", value]));
            assert_eq!(machine.value("guestinfo.local-ipv4"), value.as_bytes(), "{options}");
            assert_eq!(
                succeeds(&get(&machine, options, "guestinfo.local-ipv4")),
                value.as_bytes(),
                "{options}"
            );
        }
    }
}

#[test]
fn a_value_longer_than_a_message_is_refused_before_it_is_sent() {
    let machine = machine("too-long");
    let set = |length| machine.run("", &[&GUESTINFO, "set", "guestinfo.a", &"x".repeat(length)]);
    let header = "info-set guestinfo.a ".len();
    succeeds(&set(64 * 1024 - header));
    fails(
        &set(64 * 1024 - header + 1),
        "65537 bytes are more than the hypervisor takes in one message (65536)",
    );
    assert_eq!(machine.value("guestinfo.a").len(), 64 * 1024 - header);
}

#[test]
fn bad_keys_do_not_reach_the_hypervisor() {
    let machine = machine("bad-keys");
    for key in
        ["", "metadata", "guestinfo.", "guestinfo.a b", "guestinfo.a\tb", "guestinfo.é", "config.guestinfo.a"]
    {
        fails(&get(&machine, "", key), "is not a guestinfo key");
        fails(&machine.run("", &[&GUESTINFO, "set", key, "value"]), "is not a guestinfo key");
    }
    assert!(!machine.log().contains("rpc"), "{}", machine.log());
}

#[test]
fn without_vmware_it_is_an_error_and_not_a_crash() {
    let machine = machine("no-vmware");
    for options in [
        "--hypervisor none --no-iopl",
        "--hypervisor none",
        "--hypervisor restricted --no-iopl",
        "--hypervisor vmport --no-iopl",
    ] {
        fails(&get(&machine, options, METADATA), "the hypervisor does not answer on VMware's port");
    }
}

/// After a fault the registers are what they were, which would pass for an answer.
#[test]
fn a_fault_in_the_middle_is_no_answer() {
    let machine = machine("fault");
    fails(
        &get(&machine, "--faulting-high-bandwidth", METADATA),
        "the hypervisor does not answer on VMware's port",
    );
}

#[test]
fn qemu_is_not_taken_for_vmware() {
    fails(&get(&machine("vmport"), "--hypervisor vmport", METADATA), "does not open an RPC channel");
}

#[test]
fn a_hypervisor_that_refuses_is_an_error_with_its_reason() {
    let machine = machine("deny");
    fails(&get(&machine, "--deny open", METADATA), "cannot read guestinfo.metadata from the hypervisor");
    fails(&get(&machine, "--deny open", METADATA), "does not open an RPC channel (status 0x0000)");
    fails(&get(&machine, "--deny rpc", METADATA), "it refuses: Permission denied");
    fails(
        &machine.run("--deny rpc", &[&GUESTINFO, "set", "guestinfo.a", "value"]),
        "cannot write guestinfo.a to the hypervisor: it refuses: Permission denied",
    );
}

#[test]
fn an_absurd_length_is_not_allocated() {
    let machine = machine("absurd");
    // A thirty-second of what is announced.
    let limited = format!("ulimit -v 65536; exec '{}' get {METADATA}", *GUESTINFO);
    let run = |options: &str| machine.run(options, &["/bin/sh", "-c", &limited]);
    assert_eq!(succeeds(&run("")), VALUE);
    fails(
        &run("--announce 2147483648"),
        "it announces a reply of 2147483648 bytes, and 2097152 are the most",
    );
    fails(&run("--announce 4294967295"), "it announces a reply of 4294967295 bytes");
    fails(&run("--announce 2097153"), "it announces a reply of 2097153 bytes");
}

#[test]
fn a_length_that_is_wrong_is_an_error() {
    let machine = machine("wrong-length");
    let length = VALUE.len() + 2;
    for bandwidth in ["", "--no-high-bandwidth"] {
        for announced in [length - 1, length + 4, 2_000_000] {
            let options = format!("--announce {announced} {bandwidth}");
            fails(&get(&machine, &options, METADATA), "the hypervisor refused step Receive");
        }
        fails(&get(&machine, &format!("--announce 0 {bandwidth}"), METADATA), "refused step ReceiveStatus");
    }
}

#[test]
fn what_a_checkpoint_interrupts_is_done_again() {
    let machine = machine("checkpoint");
    let once =
        ["send-size", "send", "receive-size", "receive", "status"].map(|step| format!("--checkpoint {step}"));
    let all = once.join(" ");
    for bandwidth in ["", "--no-high-bandwidth"] {
        for options in once.iter().chain([&all]) {
            let output = get(&machine, &format!("{options} {bandwidth}"), METADATA);
            assert_eq!(succeeds(&output), VALUE, "{options} {bandwidth}");
        }
        // A checkpoint is no reason to give up the faster port.
        let log = machine.log();
        assert_eq!(log.contains("rpc low"), !bandwidth.is_empty(), "{log}");
    }
    fails(
        &get(&machine, "--checkpoint always", METADATA),
        "the hypervisor refused step SendSize of an RPC (status 0x0010)",
    );
}

#[test]
fn each_read_asks_anew() {
    let machine = machine("flap");
    machine.put("guestinfo.metadata.2", "other");
    let script = format!("for i in 1 2 3; do '{}' get {METADATA} || exit; done", *GUESTINFO);
    let output = machine.run("--flap guestinfo.metadata", &["/bin/sh", "-c", &script]);
    assert_eq!(succeeds(&output), [VALUE, b"other", VALUE].concat());
}

#[test]
fn channels_are_closed() {
    let machine = machine("channels");
    // A machine has eight channels, and no process's end closes one.
    let script = format!(
        "for i in $(seq 20); do '{0}' get guestinfo.none; '{0}' get {METADATA} || exit; done",
        *GUESTINFO
    );
    assert_eq!(succeeds(&machine.run("", &["/bin/sh", "-c", &script])), VALUE.repeat(20));
    let script = format!("for i in $(seq 9); do '{0}' get {METADATA}; done; exit 0", *GUESTINFO);
    assert!(succeeds(&machine.run("--announce 2147483648", &["/bin/sh", "-c", &script])).is_empty());
    assert!(!machine.log().contains("all of the machine's channels are in use"));
}

#[test]
fn cpuid_names_the_hypervisor() {
    let machine = machine("cpuid");
    assert_eq!(succeeds(&machine.run("--cpuid", &[&GUESTINFO, "signature"])), b"VMwareVMware\n");
    // Outside it is what it is, but not that.
    let outside = Command::new(&*GUESTINFO).arg("signature").output().unwrap();
    assert_ne!(outside.stdout, b"VMwareVMware\n");
}

/// The hypervisor finds CPUID instructions by their bytes. It must not find any that are none.
#[test]
fn the_hypervisor_patches_exactly_the_cpuid_instructions() {
    let machine = machine("patch");
    let rpctool = needs!(rpctool());
    for program in [&*GUESTINFO, rpctool, env!("CARGO_BIN_EXE_footplate")] {
        machine.run("--cpuid", &[program, "--help"]);
        let listing =
            Command::new("objdump").args(["--disassemble", "--no-show-raw-insn", program]).output().unwrap();
        let listing = String::from_utf8_lossy(succeeds(&listing)).into_owned();
        let cpuids = listing.lines().filter(|line| line.split_whitespace().nth(1) == Some("cpuid")).count();
        let line = format!("cpuid {cpuids} sites in {program}\n");
        assert!(machine.log().contains(&line), "not {line}{}", machine.log());
    }
}

#[test]
fn vmwares_own_client_gets_the_same_answers() {
    let machine = machine("rpctool");
    // It wants VMware's name in CPUID, and adds a line end to what it prints.
    let rpctool = needs!(rpctool());
    let run = |options: &str, command: &str| machine.run(&format!("--cpuid {options}"), &[rpctool, command]);
    let printed = [VALUE, b"\n"].concat();
    for options in
        GOOD.into_iter().filter(|options| !options.contains("broken") && !options.contains("restricted"))
    {
        assert_eq!(succeeds(&run(options, "info-get guestinfo.metadata")), printed, "{options}");
        succeeds(&run(options, "info-set guestinfo.a two  words"));
        assert_eq!(machine.value("guestinfo.a"), b"two  words");
        succeeds(&run(options, "log a line"));
        let missing = run(options, "info-get guestinfo.none");
        assert_eq!(missing.status.code(), Some(1));
        assert_eq!(String::from_utf8_lossy(&missing.stderr).trim(), "No value found");
    }
    for options in ["send", "receive", "status"].map(|step| format!("--checkpoint {step}")) {
        assert_eq!(succeeds(&run(&options, "info-get guestinfo.metadata")), printed, "{options}");
    }
    for options in ["--deny open", "--deny rpc", "--announce 4", "--announce 400", "--broken-high-bandwidth"]
    {
        assert_eq!(run(options, "info-get guestinfo.metadata").status.code(), Some(1), "{options}");
    }
    // What we write it reads, and the other way round.
    succeeds(&run("", "info-set guestinfo.b from vmware"));
    assert_eq!(succeeds(&get(&machine, "", "guestinfo.b")), b"from vmware");
    succeeds(&machine.run("", &[&GUESTINFO, "set", "guestinfo.b", "from us"]));
    assert_eq!(succeeds(&run("", "info-get guestinfo.b")), b"from us\n");
}

/// The hypervisor must not disturb what runs in it, or a test of something else would test that.
#[test]
fn the_hypervisor_passes_on_statuses_signals_and_stops() {
    let machine = machine("pass");
    let status = |script: &str| machine.run("", &["/bin/bash", "-c", script]).status.code();
    assert_eq!(status("exit 7"), Some(7));
    assert_eq!(status("kill -SEGV $$"), Some(128 + 11));
    assert_eq!(status("trap 'exit 9' USR1; kill -USR1 $$; exit 0"), Some(9));
    assert_eq!(status("(exec sleep 0.1) & wait $!; exit $?"), Some(0));
    // A child that stops itself stays stopped until it is told to go on.
    let stop = "(kill -STOP $BASHPID; exit 5) & child=$!
        until grep -q '^State:.[Tt]' /proc/$child/status; do sleep 0.01; done
        sleep 0.1; grep -q '^State:.[Tt]' /proc/$child/status || exit 1
        kill -CONT $child; wait $child";
    assert_eq!(status(stop), Some(5));
    assert_eq!(machine.run("", &["/nonexistent"]).status.code(), Some(127));
    assert_eq!(machine.run("--no-such-option", &["/bin/true"]).status.code(), Some(125));
}
