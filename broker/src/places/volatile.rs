//! Does a folder outlive a restart of the machine or of the container?

use std::path::Path;

/// Where this folder's content is forgotten, in words, if it is: in memory, or in a container's
/// own layer. What cannot be told counts as a disk.
pub fn volatile(folder: &Path) -> Option<String> {
    let what = volatile_kind(file_system(folder)?)?;
    Some(format!("the state folder {} lies {what}", folder.display()))
}

#[cfg(target_os = "linux")]
fn file_system(folder: &Path) -> Option<u32> {
    let kind = nix::sys::statfs::statfs(folder).ok()?.filesystem_type().0;
    // Its width differs between C libraries; the numbers have 32 bits.
    u32::try_from(i128::from(kind) & 0xffff_ffff).ok()
}

#[cfg(not(target_os = "linux"))]
fn file_system(_folder: &Path) -> Option<u32> {
    None
}

/// By the kernel's numbers of file systems (linux/magic.h).
fn volatile_kind(magic: u32) -> Option<&'static str> {
    match magic {
        0x0102_1994 | 0x8584_58f6 => Some("in memory, which a restart of the machine empties"),
        0x794c_7630 => Some("in the container's own layer, which goes with the container"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_container_layers_are_volatile_and_disks_are_not() {
        for (magic, word) in
            [(0x0102_1994, "memory"), (0x8584_58f6, "memory"), (0x794c_7630, "layer")]
        {
            assert!(volatile_kind(magic).unwrap().contains(word));
        }
        for disk in [0xef53, 0x9123_683e, 0x5846_5342] {
            assert_eq!(volatile_kind(disk), None);
        }
        #[cfg(target_os = "linux")]
        assert!(file_system(Path::new("/proc")) == Some(0x9fa0));
        assert_eq!(volatile(Path::new("/no/such/folder")), None);
    }
}
