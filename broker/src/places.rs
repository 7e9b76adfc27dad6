//! Private folders, the broker's lock, the token, and the endpoints file.
//!
//! Folders are ours alone (0700) or refused. The lock is what makes one broker per
//! (Gateway, client id): held as long as the process lives, never unlinked.

mod lock;
mod volatile;

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use ibouncer_proto::places::Places;
use nix::fcntl::OFlag;
use nix::unistd::Uid;
use thiserror::Error;

use lock::take_lock;

pub use lock::{Lock, is_locked};
pub use volatile::volatile;

/// Why a place cannot be used.
#[derive(Debug, Error)]
pub enum PlaceError {
    /// An operation on a file failed.
    #[error("{action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// Others could read or write there.
    #[error(
        "{} is not private: owner uid {owner}, mode {mode:04o}; it must be yours, with mode 0700 \
         (0710 if grpc.socket_mode lets a group in). \
         Fix it, or choose another folder",
        path.display()
    )]
    NotPrivate {
        /// The folder.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Its mode.
        mode: u32,
    },
    /// Another broker serves this Gateway and client id.
    #[error(
        "another broker serves Gateway {gateway} with client id {client_id}: {holder}. \
         Use that one, end it, or give this one another client id"
    )]
    Taken {
        /// Gateway's address.
        gateway: SocketAddr,
        /// The client id.
        client_id: i32,
        /// What the other one wrote about itself.
        holder: String,
    },
    /// Another broker has its sockets there.
    #[error(
        "another broker uses the runtime folder {}: {holder}. \
         Give this one another --instance or --runtime-dir",
        path.display()
    )]
    FolderTaken {
        /// The folder.
        path: PathBuf,
        /// What the other one wrote about itself.
        holder: String,
    },
}

fn io<T>(result: std::io::Result<T>, action: &'static str, path: &Path) -> Result<T, PlaceError> {
    result.map_err(|source| PlaceError::Io { action, path: path.to_owned(), source })
}

/// Makes the folder if need be, and checks that it is private.
pub fn private_folder(path: &Path) -> Result<(), PlaceError> {
    folder(path, 0o700)
}

/// The same, but a group that the socket lets in may pass through to it, without listing.
pub fn runtime_folder(path: &Path, socket_mode: u32) -> Result<(), PlaceError> {
    folder(path, if socket_mode & 0o070 == 0 { 0o700 } else { 0o710 })
}

fn folder(path: &Path, most: u32) -> Result<(), PlaceError> {
    let made = DirBuilder::new().recursive(true).mode(most).create(path);
    io(made, "create folder", path)?;
    let metadata = io(std::fs::symlink_metadata(path), "look at folder", path)?;
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    if !metadata.is_dir() || owner != Uid::effective().as_raw() || mode & !most != 0 {
        return Err(PlaceError::NotPrivate { path: path.to_owned(), owner, mode });
    }
    Ok(())
}

/// The locks of one (Gateway, client id), and the one of Gateway that all client ids share.
#[derive(Debug, Clone)]
pub struct Locks {
    folder: PathBuf,
    gateway: String,
    key: String,
}

impl Locks {
    /// In one folder for each user, whatever runtime and state folders are chosen: two brokers
    /// with different folders still must not share a client id.
    pub fn new(folder: PathBuf, gateway: SocketAddr, client_id: i32) -> Result<Self, PlaceError> {
        private_folder(&folder)?;
        let gateway = address_in_names(gateway);
        let key = format!("{gateway}_{client_id}");
        Ok(Self { folder, gateway, key })
    }

    /// The same for another client id of this Gateway.
    pub fn of_id(&self, client_id: i32) -> Self {
        Self { key: format!("{}_{client_id}", self.gateway), ..self.clone() }
    }

    /// Client ids under which this Gateway was ever served from here, by what lies in the folder.
    pub fn client_ids(&self) -> Vec<i32> {
        let prefix = format!("{}_", self.gateway);
        let names = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let id = |entry: std::fs::DirEntry| {
            let name = entry.file_name().into_string().ok()?;
            let (id, _) = name.strip_prefix(&prefix)?.split_once('.')?;
            id.parse().ok()
        };
        let mut ids: Vec<i32> = names.filter_map(id).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// What the worker takes before it connects.
    pub fn worker(&self) -> PathBuf {
        self.folder.join(format!("{}.worker.lock", self.key))
    }

    /// The broker's own lock.
    pub fn broker(&self) -> PathBuf {
        self.folder.join(format!("{}.broker.lock", self.key))
    }

    /// Takes the worker's lock and writes into it who we are; `None` if a worker lives.
    pub fn take_worker(&self, who: &str) -> Result<Option<Lock>, PlaceError> {
        Ok(take_lock(&self.worker(), who)?.ok())
    }

    /// Held by whoever makes a handshake at this Gateway, under whichever client id.
    pub fn handshake(&self) -> PathBuf {
        self.folder.join(format!("{}.handshake.lock", self.gateway))
    }

    /// Takes it and writes into it who we are; or who holds it.
    pub fn take_handshake(&self, who: &str) -> Result<Result<Lock, String>, PlaceError> {
        take_lock(&self.handshake(), who)
    }

    /// What is remembered of handshakes at this Gateway.
    pub fn record(&self) -> PathBuf {
        self.folder.join(format!("{}.record.json", self.gateway))
    }

    /// What is remembered of this client id.
    pub fn ledger(&self) -> PathBuf {
        self.folder.join(format!("{}.attempts.json", self.key))
    }

    /// Requests that are open at Gateway.
    pub fn open_requests(&self) -> PathBuf {
        self.folder.join(format!("{}.requests", self.key))
    }

    /// What the broker wrote about its newest worker.
    pub fn worker_file(&self) -> PathBuf {
        self.folder.join(format!("{}.worker.json", self.key))
    }

    /// Takes the broker's own lock and writes into it who we are.
    pub fn take(&self, gateway: SocketAddr, client_id: i32, who: &str) -> Result<Lock, PlaceError> {
        match take_lock(&self.broker(), who)? {
            Ok(lock) => Ok(lock),
            Err(holder) => Err(PlaceError::Taken { gateway, client_id, holder }),
        }
    }

    /// Takes the lock of a runtime folder: its sockets belong to one broker, whichever Gateway
    /// that serves.
    pub fn take_runtime(&self, runtime: &Path, who: &str) -> Result<Lock, PlaceError> {
        let number = fnv(runtime.as_os_str().as_encoded_bytes());
        let path = self.folder.join(format!("runtime_{number:016x}.lock"));
        match take_lock(&path, who)? {
            Ok(lock) => Ok(lock),
            Err(holder) => Err(PlaceError::FolderTaken { path: runtime.to_owned(), holder }),
        }
    }
}

/// The journal of orders of one (Gateway, client id): in the instance's own state folder, which is
/// the one that is kept and backed up.
pub fn journal(state: &Path, gateway: SocketAddr, client_id: i32) -> PathBuf {
    state.join(format!("{}_{client_id}.orders.db", address_in_names(gateway)))
}

fn address_in_names(gateway: SocketAddr) -> String {
    gateway.to_string().replace([':', '[', ']', '%'], "_")
}

/// A short number for long content; the same in every build.
pub(crate) fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// The folder of all locks of this user.
pub fn lock_folder(environment: impl Fn(&str) -> Option<std::ffi::OsString>) -> PathBuf {
    let variable = |name: &str| environment(name).filter(|value| !value.is_empty());
    variable("IBOUNCER_LOCK_DIR")
        .map(PathBuf::from)
        .or_else(|| variable("XDG_STATE_HOME").map(|base| Path::new(&base).join("ibouncer/locks")))
        .or_else(|| {
            variable("HOME").map(|home| Path::new(&home).join(".local/state/ibouncer/locks"))
        })
        .unwrap_or_else(|| {
            std::env::temp_dir().join(format!("ibouncer-{}/locks", Uid::effective()))
        })
}

/// Writes a file that only we can read, in one step: readers see the old or the new one.
pub fn write_private(path: &Path, text: &str) -> Result<(), PlaceError> {
    let staged = path.with_extension("new");
    let _ = std::fs::remove_file(&staged);
    let opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(&staged);
    let mut file = io(opened, "create file", &staged)?;
    io(file.write_all(text.as_bytes()), "write file", &staged)?;
    io(std::fs::rename(&staged, path), "rename file to", path)
}

/// A fresh token in the token file.
pub fn new_token(places: &Places) -> Result<String, PlaceError> {
    let token = io(crate::tokens::random(), "read", Path::new("/dev/urandom"))?;
    write_private(&places.token(), &format!("{token}\n"))?;
    Ok(token)
}

/// Takes away what lives as long as the broker. What is kept beside the locks, events and worker
/// logs stay.
pub fn tidy_up(places: &Places) {
    for path in [places.socket(), places.link_socket(), places.token(), places.endpoints()] {
        // It may never have been made.
        let _ = std::fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_folder_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        private_folder(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o750)).unwrap();
        let error = private_folder(&path).unwrap_err().to_string();
        assert!(error.contains("mode 0750") && error.contains("0700"), "{error}");
    }

    #[test]
    fn a_second_broker_is_told_who_the_first_is() {
        let folder = tempfile::tempdir().unwrap();
        let gateway: SocketAddr = "127.0.0.1:4002".parse().unwrap();
        let locks = Locks::new(folder.path().join("locks"), gateway, 410).unwrap();
        let held = locks.take(gateway, 410, "instance default, pid 77").unwrap();
        let error = locks.take(gateway, 410, "me").unwrap_err().to_string();
        assert!(error.contains("pid 77") && error.contains("410"), "{error}");
        drop(held);
        locks.take(gateway, 410, "me").unwrap();
        let other = Locks::new(folder.path().join("locks"), gateway, 411).unwrap();
        other.take(gateway, 411, "me").unwrap();
        let turn = locks.take_handshake("pid 77").unwrap();
        let taken = other.take_handshake("pid 78").unwrap().unwrap_err();
        assert_eq!(taken, "pid 77", "one for all client ids");
        drop(turn);
        assert_eq!(locks.client_ids(), [410, 411]);
        let elsewhere = "127.0.0.1:400".parse().unwrap();
        let elsewhere = Locks::new(folder.path().join("locks"), elsewhere, 410).unwrap();
        assert_eq!(elsewhere.client_ids(), [0_i32; 0]);
        assert!(elsewhere.take_handshake("pid 78").unwrap().is_ok());
        let _runtime = locks.take_runtime(folder.path(), "pid 78").unwrap();
        let error = other.take_runtime(folder.path(), "me").unwrap_err().to_string();
        assert!(error.contains("pid 78") && error.contains("--instance"), "{error}");
    }

    #[test]
    fn private_files_are_replaced_whole_and_readable_by_us_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        write_private(&path, "one").unwrap();
        write_private(&path, "two").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
