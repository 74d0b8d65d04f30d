//! The shim in a program that knows nothing of it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking; clippy knows only functions marked as tests"
)]

mod common;

use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use common::{Scratch, Writer, accept, connection, shim};

/// Prints what the shim left in the environment, and whether a child has it mapped.
const PROGRAM: &str =
    r#"echo "${LD_PRELOAD-unset} ${COLO_UFFD_SOCK-unset}"; grep -c shim- /proc/self/maps; exit 7"#;

fn program() -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", PROGRAM])
        .env("LD_PRELOAD", shim())
        .stdin(Stdio::null());
    command
}

#[test]
fn without_a_socket_nothing_happens() {
    let output = program().env_remove("COLO_UFFD_SOCK").output().unwrap();
    let expected = format!("{} unset", shim().display());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().next(), Some(expected.as_str()));
    assert_eq!(output.status.code(), Some(7));
}

#[test]
fn the_program_runs_as_ever_and_its_children_are_left_alone() {
    let socket = Scratch::new(".sock");
    let listener = UnixListener::bind(&*socket).unwrap();
    let child = program()
        .env("COLO_UFFD_SOCK", &socket)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (pid, handed) = (child.id(), accept(&listener));
    if let Some(handed) = handed {
        assert_eq!(handed.pid, pid as i32);
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "unset unset\n0\n");
    assert_eq!(output.status.code(), Some(7));
}

#[test]
fn with_nobody_listening_the_program_runs_as_ever() {
    for socket in ["/nowhere/to/be/found".to_owned(), "/x".repeat(90)] {
        let output = program().env("COLO_UFFD_SOCK", socket).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "unset unset\n0\n");
        assert_eq!(output.status.code(), Some(7));
    }
}

#[test]
fn a_program_that_may_not_have_one_says_so() {
    let socket = Scratch::new(".sock");
    let listener = UnixListener::bind(&*socket).unwrap();
    // One descriptor is left, for the socket: userfaultfd fails with EMFILE. Whoever runs this test may have left us
    // some of its own (make its jobserver, flock its lock).
    let script = r#"for fd in 3 4 5 6 7 8 9; do eval "exec $fd>&-"; done
        ulimit -n 4; exec env LD_PRELOAD="$SHIM" COLO_UFFD_SOCK="$SOCK" sleep 0"#;
    let mut command = Command::new("sh");
    command
        .args(["-c", script])
        .env("SHIM", shim())
        .env("SOCK", &socket)
        .stdin(Stdio::null());
    let mut child = command.spawn().unwrap();
    let stream = connection(&listener);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let Err(colo_ram::Error::Shim(error)) = colo_ram::receive_uffd(&stream, deadline) else {
        panic!()
    };
    assert_eq!(
        error.raw_os_error(),
        Some(rustix::io::Errno::MFILE.raw_os_error())
    );
    child.wait().unwrap();
}

#[test]
fn what_it_hands_over_works_on_the_mapping_of_the_program() {
    let mut writer = Writer::start(16);
    let Some(uffd) = writer.uffd() else { return };
    let kind = colo_ram::TrackerKind::PagemapScan;
    let mut tracker = colo_ram::open_tracker(kind, writer.pid(), &writer.ram, Some(uffd)).unwrap();
    writer.run("write(11, 250)");
    let dirty = tracker.collect(false).unwrap();
    assert!(dirty.contains(11) && dirty.len() == 1, "{dirty:?}");
}
