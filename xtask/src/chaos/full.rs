//! The disk is full: whatever cannot be kept is not acknowledged, and it goes on by itself when there is room.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use super::{PATIENCE, Stage};
use crate::{Result, hooks::is_done};

/// How large the disk is.
const SIZE: &str = "size=8m,mode=0700";

/// How many deliveries are to be turned away before there is room again.
const TURNED_AWAY: u64 = 100;

pub(super) fn full(place: &Path) -> Result {
    println!("\nthe disk full");
    let mount = place.join("disk");
    fs::create_dir_all(&mount).map_err(|error| format!("{}: {error}", mount.display()))?;
    let Some(disk) = Disk::mount(&mount) else {
        println!("SKIPPED the disk full, for which a small tmpfs has to be mounted: only root may");
        return Ok(());
    };
    // What the server writes lies there; its libraries have more room elsewhere.
    let mut stage = Stage::set_at(place, "full", Some(&disk.0))?;
    stage.serve()?;
    stage.gets_on()?;
    let ballast = disk.0.join("ballast");
    let taken = fill(&ballast)?;
    let told = stage.told();
    let (before, begun) = (told.turned_away.load(Ordering::Relaxed), Instant::now());
    while told.turned_away.load(Ordering::Relaxed) < before + TURNED_AWAY {
        stage.is_alive()?;
        if begun.elapsed() > PATIENCE {
            return Err("the disk is full, and no delivery was turned away".to_owned());
        }
        thread::sleep(Duration::from_millis(10));
        // Whatever has become free in the meantime is not to stay free.
        let _ = fill(&disk.0.join("more ballast"));
    }
    println!("        {} MiB taken, after which deliveries were turned away", taken >> 20);
    for file in [ballast, disk.0.join("more ballast")] {
        fs::remove_file(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    stage.gets_on()?;
    let told = stage.quiet()?;
    stage.tell(&told, &HashMap::new())
    // The stage is gone before its disk is.
}

/// Writes until there is no room, and says how much that was.
fn fill(path: &Path) -> Result<u64> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut file = File::options().create(true).append(true).open(path).map_err(failed)?;
    // Large pieces leave some room, which small ones fill.
    for size in [64 * 1024, 4096, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
    Ok(file.metadata().map_err(failed)?.len())
}

/// A small disk, until it is dropped.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", SIZE, "jackfield-chaos"]).arg(at);
        is_done(&mut mount).then(|| Self(at.to_owned()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Somebody may still be on their way out of it.
        let begun = Instant::now();
        while !is_done(Command::new("umount").arg(&self.0)) && begun.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(50));
        }
    }
}
