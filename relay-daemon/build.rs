//! Compiles the XDP program and leaves it in `OUT_DIR` as `relay.o`, and those that
//! measure it as `bench.o` (feature `kernel`).
//!
//! The program needs a Rust compiler with the sources of its library, to build `core` for the BPF
//! target, and `bpf-linker`. The compiler is Debian's `rustc-web` or a rustup nightly, whichever is
//! there; nothing is downloaded but the crates in `relay-ebpf/Cargo.lock`. `aya-build` knows rustup
//! only, and where there is no nightly, rustup fetches one: hence a script of our own.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "bpfel-unknown-none";

/// The oldest compiler that takes the program: `rust-version` of the workspace.
const OLDEST_MINOR_VERSION: u32 = 95;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_KERNEL").is_none() {
        return;
    }
    for path in ["src", "bench", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed=../relay-ebpf/{path}");
    }
    for path in ["src", "Cargo.toml"] {
        println!("cargo::rerun-if-changed=../relay-common/{path}");
    }
    if let Err(message) = build() {
        for line in message.lines() {
            println!("cargo::error={line}");
        }
    }
}

fn build() -> Result<(), String> {
    if env::var("CARGO_CFG_TARGET_ENDIAN").is_ok_and(|endian| endian != "little") {
        return Err(
            "The XDP program is for little-endian machines only: build with --no-default-features.".into(),
        );
    }
    let (toolchain, linker) = match (Toolchain::find(), find_linker()) {
        (Some(toolchain), Some(linker)) => (toolchain, linker),
        (toolchain, linker) => return Err(what_is_missing(toolchain.is_none(), linker.is_none())),
    };

    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let target_dir = out.join("ebpf");
    let mut command = toolchain.cargo();
    for name in [
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTFLAGS",
        "CARGO_BUILD_TARGET",
    ] {
        command.env_remove(name);
    }
    let flags = ["-Cdebuginfo=2", "-Clink-arg=--btf", "-Ctarget-cpu=v3"];
    command
        .current_dir("../relay-ebpf")
        .args([
            "build",
            "--quiet",
            "--locked",
            "--release",
            "-Zbuild-std=core",
            "--target",
            TARGET,
            "--target-dir",
        ])
        .arg(&target_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .env("RUSTC_BOOTSTRAP", "1")
        .env("PATH", path_with(&linker)?);
    let output = command
        .output()
        .map_err(|error| format!("{command:?} does not start: {error}"))?;
    if !output.status.success() {
        let log = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "The XDP program does not build ({}):\n{log}",
            toolchain.name()
        ));
    }
    for program in ["relay", "bench"] {
        let built = target_dir.join(TARGET).join("release").join(program);
        fs::copy(&built, out.join(program).with_extension("o"))
            .map_err(|error| format!("{}: {error}", built.display()))?;
    }
    Ok(())
}

/// A compiler that can build `core`.
enum Toolchain {
    /// `/usr/bin/rustc`, of the packages `rustc-web` and `rust-web-src`.
    Debian,
    /// `rustup run nightly`.
    Nightly,
}

impl Toolchain {
    const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

    fn find() -> Option<Self> {
        [Self::Debian, Self::Nightly]
            .into_iter()
            .find(|toolchain| toolchain.is_usable().unwrap_or(false))
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Debian => Self::DEBIAN_RUSTC,
            Self::Nightly => "rustup's nightly",
        }
    }

    fn rustc(&self) -> Command {
        match self {
            Self::Debian => Command::new(Self::DEBIAN_RUSTC),
            Self::Nightly => rustup_run("rustc"),
        }
    }

    fn cargo(&self) -> Command {
        match self {
            Self::Debian => {
                let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
                cargo.env("RUSTC", Self::DEBIAN_RUSTC);
                cargo
            }
            Self::Nightly => {
                let mut cargo = rustup_run("cargo");
                cargo.env_remove("RUSTC");
                cargo
            }
        }
    }

    /// Whether it exists, is new enough and has the library's sources; `None` if it does not run.
    fn is_usable(&self) -> Option<bool> {
        let version = stdout(self.rustc().arg("--version"))?;
        let minor = version.strip_prefix("rustc 1.")?.split('.').next()?;
        let sysroot = stdout(self.rustc().args(["--print", "sysroot"]))?;
        let core = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core/Cargo.toml");
        Some(minor.parse::<u32>().ok()? >= OLDEST_MINOR_VERSION && core.exists())
    }
}

/// A command of the nightly toolchain. `rustup run` does not install what is missing, unless told to
/// by its environment.
fn rustup_run(program: &str) -> Command {
    let mut command = Command::new("rustup");
    command
        .args(["run", "nightly", program])
        .env("RUSTUP_AUTO_INSTALL", "0");
    command
}

fn stdout(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()
}

/// The directory of `bpf-linker`: one of `PATH`, or where `cargo install` puts it.
fn find_linker() -> Option<PathBuf> {
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo_home = cargo_home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    let path = env::var_os("PATH").unwrap_or_default();
    let mut directories = env::split_paths(&path).chain(cargo_home.map(|home| home.join("bin")));
    directories.find(|directory| directory.join("bpf-linker").is_file())
}

fn path_with(directory: &Path) -> Result<OsString, String> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = env::split_paths(&path).chain([directory.to_owned()]);
    env::join_paths(directories).map_err(|error| error.to_string())
}

fn what_is_missing(toolchain: bool, linker: bool) -> String {
    let mut missing = Vec::new();
    if toolchain {
        missing.push(format!(
            "a Rust compiler (1.{OLDEST_MINOR_VERSION} or newer) with the sources of its library: \
             Debian's rustc-web and rust-web-src, or rustup's nightly with the component rust-src"
        ));
    }
    if linker {
        missing.push("bpf-linker (cargo install bpf-linker --version 0.10.4 --locked)".to_owned());
    }
    format!(
        "The XDP program needs what this machine lacks: {}. scripts/setup.sh installs it; \
         --no-default-features builds a daemon that relays in userspace only.",
        missing.join("; and ")
    )
}
