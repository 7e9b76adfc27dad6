//! Python and Node for tests that drive foreign clients: set up once, at pinned versions.
//!
//! What is made lies below a folder that the suite names (Cargo's own for temporary files of
//! tests), keyed by a hash of what pins it, and is reused by later runs. Where an interpreter is
//! missing, a test is skipped and says so; with `CI=true` it fails instead.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::program::Program;

/// Installing from an index far away takes its time.
const INSTALL: Duration = Duration::from_secs(300);

/// The root of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The Python of this host, with nothing in it.
pub fn python3() -> Option<&'static Path> {
    works("python3").then_some(Path::new("python3"))
}

/// A Python with the official client in it.
pub fn official_python(tmp: &Path) -> Option<PathBuf> {
    let requirements = workspace().join("tests/peers/requirements.txt");
    let list = requirements.to_str().unwrap().to_owned();
    python(tmp, "official", &[&requirements], &["-r", &list])
}

/// A Python with this workspace's SDK in it, and with the tools of its developers.
pub fn sdk_python(tmp: &Path) -> Option<PathBuf> {
    let package = workspace().join("client-sdk/python");
    let editable = format!("{}[dev]", package.display());
    let pins = package.join("pyproject.toml");
    python(tmp, "sdk", &[&pins], &["-e", &editable])
}

fn python(tmp: &Path, name: &str, pins: &[&Path], install: &[&str]) -> Option<PathBuf> {
    if !works("python3") {
        return None;
    }
    let folder = tmp.join(format!("python-{name}-{:016x}", hash(pins)));
    let interpreter = folder.join("bin/python");
    once(&folder, || {
        let mut make = Command::new("python3");
        make.args(["-m", "venv"]).arg(&folder);
        run_to_end("python3 -m venv", make);
        let mut pip = Command::new(&interpreter);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(install);
        run_to_end("pip install", pip);
    });
    Some(interpreter)
}

/// A folder with the Node peer and what it depends on.
pub fn node(tmp: &Path) -> Option<PathBuf> {
    if !works("node") || !works("npm") {
        return None;
    }
    let source = workspace().join("tests/peers/node");
    let lock = source.join("package-lock.json");
    let folder = tmp.join(format!("node-{:016x}", hash(&[&lock])));
    once(&folder, || {
        fs::create_dir_all(&folder).unwrap();
        for file in ["package.json", "package-lock.json"] {
            fs::copy(source.join(file), folder.join(file)).unwrap();
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund"]).current_dir(&folder);
        run_to_end("npm ci", npm);
    });
    // Under a name of its own first: another test may be reading the old one.
    let staged = folder.join(format!("quotes-{}.js", std::process::id()));
    fs::copy(source.join("quotes.js"), &staged).unwrap();
    fs::rename(&staged, folder.join("quotes.js")).unwrap();
    Some(folder)
}

/// Says that a test is skipped, which is a failure where everything must be there.
///
/// # Panics
/// With `CI=true`.
pub fn skip(what: &str) {
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{what} is needed under CI=true");
    eprintln!("skipped: {what} is missing");
}

/// Runs a program to its end, which must be good; answers with what it wrote.
#[track_caller]
pub fn run_to_end(name: &str, command: Command) -> String {
    let mut program = Program::start(name, command);
    program.close_stdin();
    let status = program.exit(INSTALL);
    let (stdout, stderr) = (program.stdout.all().join("\n"), program.stderr.all().join("\n"));
    assert!(status.success(), "{name}: {status}\n{stdout}\n{stderr}");
    stdout
}

fn works(program: &str) -> bool {
    let output = Command::new(program).arg("--version").output();
    output.is_ok_and(|output| output.status.success())
}

fn hash(files: &[&Path]) -> u64 {
    let mut hasher = DefaultHasher::new();
    workspace().hash(&mut hasher);
    for file in files {
        fs::read(file).unwrap().hash(&mut hasher);
    }
    hasher.finish()
}

/// Makes a folder once, also if two suites want it at the same time. What an earlier run left
/// unfinished is made anew.
fn once(folder: &Path, make: impl FnOnce()) {
    fs::create_dir_all(folder.parent().unwrap()).unwrap();
    let lock = File::create(folder.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    let complete = folder.join("complete");
    if !complete.exists() {
        // It may not be there at all.
        let _ = fs::remove_dir_all(folder);
        make();
        File::create(complete).unwrap();
    }
}
