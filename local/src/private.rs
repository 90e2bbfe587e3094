//! The modes of what a stack writes. Other users of the machine get nothing of it; that the servers of databases, which may run as
//! another user, get to their own files, is the one exception.

use rustix::fs::Mode;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

/// The mode of a directory that nobody but its owner enters.
pub const CLOSED: u32 = 0o700;
/// The mode of a directory that others pass on the way to their own, and can't list.
pub const PASSABLE: u32 = 0o711;

/// Keeps every file and directory that this process creates from now on for its owner, and so those of all that it starts.
///
/// To be called before threads write files: the mask is the whole process'.
pub fn close_new_files() {
    // A mask, because most of what lies in a stack is written by programs that are not ours and name no mode.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}

/// Creates a directory of exactly this mode, with those that it lies in.
///
/// # Errors
///
/// When it can't be created, or is another user's.
pub fn make_dir(path: &Path, mode: u32) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(mode).create(path)?;
    // The mask has taken from the mode what other users need.
    set_mode(path, mode)
}

/// Sets the mode of a file or directory, whatever the mask is.
///
/// # Errors
///
/// When it is not there, or is another user's.
pub fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_directory_has_its_mode_whatever_the_mask_takes() {
        let scratch = tempfile::tempdir().unwrap();
        // No usual mask leaves others the right to write.
        for mode in [CLOSED, PASSABLE, 0o733] {
            let made = scratch.path().join(format!("{mode:o}"));
            make_dir(&made, mode).unwrap();
            assert_eq!(fs::metadata(&made).unwrap().mode() & 0o7777, mode);
            make_dir(&made, CLOSED).unwrap();
            assert_eq!(fs::metadata(&made).unwrap().mode() & 0o7777, CLOSED, "one that is there");
        }
    }

    #[test]
    fn what_a_started_program_creates_is_its_owners_alone() {
        // In a process of its own: the mask is the whole process', and other tests share this one.
        if let Some(dir) = std::env::var_os(INSIDE) {
            close_new_files();
            let script = "mkdir folder && echo x > file && echo x > folder/file";
            assert!(std::process::Command::new("sh").args(["-c", script]).current_dir(dir).status().unwrap().success());
            return;
        }
        let scratch = tempfile::tempdir().unwrap();
        let name = "private::tests::what_a_started_program_creates_is_its_owners_alone";
        let mut itself = std::process::Command::new(std::env::current_exe().unwrap());
        itself.args(["--exact", name]).env(INSIDE, scratch.path());
        assert!(itself.status().unwrap().success());
        let mode = |path: &str| fs::metadata(scratch.path().join(path)).unwrap().mode() & 0o777;
        assert_eq!([mode("folder"), mode("file"), mode("folder/file")], [0o700, 0o600, 0o600]);
    }

    const INSIDE: &str = "REWIND_TEST_OF_PRIVATE_FILES";
}
