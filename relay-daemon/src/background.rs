//! Going into the background, and the pid file.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process;

use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, chdir, dup2_stderr, dup2_stdin, dup2_stdout, fork, setsid};

/// The way back to whoever started the daemon.
#[derive(Debug)]
pub struct Starter {
    /// To the process that waits; none in the foreground.
    waiting: Option<File>,
}

/// A file with the process id in it, removed at the end.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
}

impl Starter {
    /// Stays in the foreground: nobody waits.
    pub fn foreground() -> Starter {
        Starter { waiting: None }
    }

    /// Goes on in a new process. The one that was started waits until that says [`Starter::ready`] and
    /// exits with status 0, or exits with its status if it ends before: mistakes found while starting
    /// reach the shell or service manager.
    ///
    /// To be called before the first thread is started: a fork takes only the calling one along.
    pub fn background() -> io::Result<Starter> {
        let (from_daemon, to_starter) = io::pipe()?;
        // SAFETY: no other thread runs yet, so the child inherits no lock that nobody will release.
        match unsafe { fork() }? {
            ForkResult::Parent { child } => {
                drop(to_starter);
                process::exit(wait_for(from_daemon, child));
            }
            ForkResult::Child => {
                setsid()?;
                let fd: std::os::fd::OwnedFd = to_starter.into();
                Ok(Starter {
                    waiting: Some(fd.into()),
                })
            }
        }
    }

    /// The daemon serves: lets go of the terminal, of its directory, and of the waiting process.
    /// Standard error stays open if log lines go there.
    pub fn ready(self, keep_stderr: bool) -> io::Result<()> {
        let Some(mut waiting) = self.waiting else {
            return Ok(());
        };
        let null = File::options().read(true).write(true).open("/dev/null")?;
        dup2_stdin(&null)?;
        dup2_stdout(&null)?;
        if !keep_stderr {
            dup2_stderr(&null)?;
        }
        chdir("/")?;
        waiting.write_all(&[1])
    }
}

/// The exit status of the waiting process.
fn wait_for(mut daemon: impl Read, child: Pid) -> i32 {
    let mut byte = [0];
    if daemon.read_exact(&mut byte).is_ok() {
        return 0;
    }
    match waitpid(child, None) {
        Ok(WaitStatus::Exited(_, status)) => status,
        Ok(_) | Err(_) => 255,
    }
}

impl PidFile {
    /// Writes the id of this process.
    pub fn write(path: &Path) -> io::Result<PidFile> {
        // The working directory may change before the file is removed.
        let path = std::path::absolute(path)?;
        fs::write(&path, format!("{}\n", process::id()))?;
        Ok(PidFile { path })
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Somebody removed it before: as good.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_lives_as_long_as_its_guard() {
        let path = std::env::temp_dir().join(format!("relay-pid-{}", process::id()));
        let guard = PidFile::write(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", process::id()));
        drop(guard);
        assert!(!path.exists());
        assert!(PidFile::write(Path::new("/nonexistent/pid")).is_err());
    }
}
