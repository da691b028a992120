//! The comparing runner, as far as it goes without a reference.

use std::process::Command;

use relay_tests::{daemon, netns};

/// Recordings are played to the daemon, and one that differs is told from one that does not.
#[test]
fn recordings_without_a_reference() {
    if !netns::requires_root() {
        return;
    }
    let run = |options: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_ng-compare"))
            .arg("--ours")
            .arg(daemon::program().get_program())
            .args(options)
            .output()
            .expect("it can be run");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    let (code, output) = run(&["--only=example-"]);
    assert_eq!(
        code,
        Some(2),
        "there are none of that name among those of the reference: {output}"
    );

    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/conversations");
    let (code, output) = run(&["--folder", own, "--only=example-"]);
    assert_eq!(code, Some(0), "{output}");
    assert!(output.contains(" 0 differ"), "{output}");

    let folder = std::env::temp_dir().join(format!("ng-compare-test-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let text = std::fs::read_to_string(format!("{own}/example-sdes-caller.json")).expect("a recording");
    let other = text
        .replace("PCMU/8000", "PCMX/8000")
        .replacen("PCMX/8000", "PCMU/8000", 1);
    std::fs::write(folder.join("other.json"), other).expect("a file");
    let (code, output) = run(&["--folder", &folder.display().to_string()]);
    std::fs::remove_dir_all(&folder).expect("it is there");
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains("1 differ"), "{output}");
}
