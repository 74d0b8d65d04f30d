//! Builds the two programs that the module carries: the shim preloaded into QEMU (C, because it runs in a
//! process that is not ours, before its main) and the program inside the demo guest (static, for an initramfs).

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

const SHIM: &str = "shim/uffd_shim.c";
const GUEST: &str = "../guest/src/main.rs";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={SHIM}");
    println!("cargo::rerun-if-changed=../guest/src");
    println!("cargo::rerun-if-env-changed=CC");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    build_shim(&out.join("uffd_shim.so"))?;
    build_guest(&out.join("guest"))
}

fn build_shim(output: &Path) -> Result<(), Box<dyn Error>> {
    let compiler = env::var("CC").unwrap_or_else(|_| "cc".into());
    let mut command = Command::new(compiler);
    command
        .args(["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-o"])
        .arg(output)
        .arg(SHIM);
    run(command)
}

fn build_guest(output: &Path) -> Result<(), Box<dyn Error>> {
    let mut command = Command::new(env::var("RUSTC")?);
    command.args([
        "--edition",
        "2024",
        "--crate-name",
        "colo_guest",
        "--target",
        &env::var("TARGET")?,
    ]);
    command.args([
        "-O",
        "-C",
        "target-feature=+crt-static",
        "-C",
        "panic=abort",
        "-C",
        "strip=symbols",
        "-o",
    ]);
    command.arg(output).arg(GUEST);
    run(command)
}

fn run(mut command: Command) -> Result<(), Box<dyn Error>> {
    let status = command
        .status()
        .map_err(|error| format!("{:?}: {error}", command.get_program()))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{command:?}: {status}").into())
    }
}
