//! Tokens: secrets of 64 hexadecimal digits, in files that only we can read.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, ensure};

use crate::ledger::read_own;
use crate::places::write_private;

/// Shortest token that is accepted from a file.
const SHORTEST: usize = 16;

/// A new one.
pub(crate) fn random() -> io::Result<String> {
    let mut random = [0_u8; 32];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The token of a configured client; made if its file is missing.
pub(crate) fn of_client(name: &str, path: &Path) -> anyhow::Result<String> {
    if let Some(token) = read(name, path)? {
        return Ok(token);
    }
    let token = random().context("read /dev/urandom")?;
    write_private(path, &format!("{token}\n")).with_context(|| about(name, path))?;
    tracing::info!(
        client = name, path = %path.display(),
        "a token was made for this client: give it to the client, and to nobody else"
    );
    Ok(token)
}

/// The token of a configured client, if its file is there. Changes nothing.
pub(crate) fn read(name: &str, path: &Path) -> anyhow::Result<Option<String>> {
    let about = || about(name, path);
    let text = match read_own(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().filter(|folder| folder.is_dir());
            ensure!(folder.is_some(), "{}: its folder does not exist", about());
            return Ok(None);
        }
        Err(error) => return Err(error).with_context(about),
    };
    let mode = std::fs::metadata(path).with_context(about)?.mode() & 0o777;
    ensure!(mode & 0o077 == 0, "{}: others can read it (mode {mode:04o}); chmod 600", about());
    let token = text.trim();
    ensure!(
        token.len() >= SHORTEST && token.bytes().all(|byte| byte.is_ascii_graphic()),
        "{}: its content is no token: one line of at least {SHORTEST} printable characters; remove \
         the file to have one made",
        about()
    );
    Ok(Some(token.to_owned()))
}

fn about(name: &str, path: &Path) -> String {
    format!("clients.{name}.token_file {}", path.display())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_missing_token_is_made_once_and_a_bad_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("momentum.token");
        assert_eq!(read("momentum", &path).unwrap(), None);
        assert!(!path.exists(), "looking makes none");
        let made = of_client("momentum", &path).unwrap();
        assert_eq!(made.len(), 64);
        assert_eq!(of_client("momentum", &path).unwrap(), made);
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let refused = || format!("{:#}", of_client("momentum", &path).unwrap_err());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(refused().contains("0640"), "{}", refused());
        assert!(!refused().contains(&made));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, "short").unwrap();
        assert!(refused().contains("clients.momentum.token_file"), "{}", refused());
        assert!(of_client("x", &folder.path().join("no/folder")).is_err());
    }
}
