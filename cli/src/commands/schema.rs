//! `ibouncer schema export DIR`: the .proto files of this version, for clients in other
//! languages. Looks at everything before it writes anything, so a refusal leaves no half.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ibouncer_proto::SCHEMA_FILES;
use serde_json::json;

use crate::args::Schema;
use crate::exit::{Complaint, Exit, Failure};
use crate::output::Output;

pub(crate) fn run(order: &Schema, output: &mut Output) -> Result<Exit, Failure> {
    let Schema::Export { dir, force } = order;
    let plan = compare(dir)?;
    if !plan.differing.is_empty() && !force {
        let list: Vec<_> = plan.differing.iter().map(|(path, _)| shown(path)).collect();
        let message = format!("not written, because these files differ: {}", list.join(", "));
        return Err(Complaint::usage(message)
            .next("choose another folder, or overwrite them with --force")
            .into());
    }
    let mut written = Vec::new();
    for (path, text) in plan.missing.iter().chain(&plan.differing) {
        write(path, text).map_err(|error| cannot("write", path, &error))?;
        written.push(shown(path));
    }
    if output.json() {
        let unchanged: Vec<_> = plan.unchanged.iter().map(|path| shown(path)).collect();
        output.value(&json!({ "written": written, "unchanged": unchanged }))?;
    } else {
        output.text(&format!(
            "{} files written to {}, {} were there already.",
            written.len(),
            dir.display(),
            plan.unchanged.len()
        ))?;
    }
    Ok(Exit::Good)
}

/// What exporting into a folder would do.
#[derive(Default)]
struct Plan {
    missing: Vec<(PathBuf, &'static str)>,
    differing: Vec<(PathBuf, &'static str)>,
    unchanged: Vec<PathBuf>,
}

fn compare(dir: &Path) -> Result<Plan, Failure> {
    let mut plan = Plan::default();
    for &(name, text) in SCHEMA_FILES {
        let path = dir.join(name);
        match fs::read(&path) {
            Ok(bytes) if bytes == text.as_bytes() => plan.unchanged.push(path),
            Ok(_) => plan.differing.push((path, text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                plan.missing.push((path, text));
            }
            Err(error) => return Err(cannot("read", &path, &error)),
        }
    }
    Ok(plan)
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn cannot(verb: &str, path: &Path, error: &io::Error) -> Failure {
    Complaint::usage(format!("cannot {verb} {}: {error}", path.display())).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::tests::on_paper;

    fn export(dir: &Path, force: bool) -> Result<String, Failure> {
        let (mut output, out, _) = on_paper(false);
        let dir = dir.to_owned();
        run(&Schema::Export { dir, force }, &mut output)?;
        Ok(out.text())
    }

    #[test]
    fn every_file_is_written_once_and_left_alone_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("new");
        let count = SCHEMA_FILES.len();
        assert!(export(&dir, false).unwrap().starts_with(&format!("{count} files written")));
        for (name, text) in SCHEMA_FILES {
            assert_eq!(fs::read_to_string(dir.join(name)).unwrap(), *text);
        }
        assert!(export(&dir, false).unwrap().starts_with("0 files written"));
    }

    #[test]
    fn a_file_that_differs_is_kept_unless_forced() {
        let folder = tempfile::tempdir().unwrap();
        let (name, text) = SCHEMA_FILES[0];
        let changed = folder.path().join(name);
        write(&changed, "mine").unwrap();
        let Failure::Told(complaint) = export(folder.path(), false).unwrap_err() else {
            panic!("not told")
        };
        assert_eq!(complaint.exit, Exit::Usage);
        assert!(complaint.message.contains(name), "{}", complaint.message);
        assert_eq!(fs::read_to_string(&changed).unwrap(), "mine");
        let others = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(others, 1, "nothing is written when something differs");
        export(folder.path(), true).unwrap();
        assert_eq!(fs::read_to_string(&changed).unwrap(), text);
    }
}
