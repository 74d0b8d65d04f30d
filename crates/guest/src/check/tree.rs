//! Files in folders that are written, renamed and removed without end, and a list in memory of what must be there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::patterns::noise;

const FOLDERS: u64 = 8;
/// Names in a folder.
const NAMES: u64 = 16;
/// Words of the longest file: 16 KiB.
const LONGEST: u64 = 2048;

/// One place of the tree, `FOLDER/NAME`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    folder: u64,
    name: u64,
}

/// The tree below a folder that is ours alone.
pub struct Tree {
    root: PathBuf,
    /// What each file was made from.
    files: BTreeMap<Place, u64>,
    steps: u64,
}

impl Tree {
    /// An empty one; `root` must not exist.
    pub fn new(root: PathBuf) -> io::Result<Self> {
        fs::create_dir(&root)?;
        for folder in 0..FOLDERS {
            fs::create_dir(root.join(folder.to_string()))?;
        }
        Ok(Self {
            root,
            files: BTreeMap::new(),
            steps: 0,
        })
    }

    /// One change, the same in every tree that is as old: a file is written anew, moved over another, removed, or goes
    /// with its folder.
    pub fn step(&mut self) -> io::Result<()> {
        self.steps += 1;
        let draw = noise(noise(self.steps));
        let (target, some) = (place(draw >> 8), self.some(draw >> 20));
        match (draw % 16, some) {
            (0, _) => self.clear(target.folder),
            (1..=3, Some(file)) => self.remove(file),
            (4..=7, Some(file)) => self.rename(file, target),
            _ => self.write(target, draw),
        }
    }

    /// Whether exactly these files are there, and hold what was written: otherwise, what is wrong first.
    pub fn check(&self) -> Result<(), String> {
        let folders = (0..FOLDERS).map(|folder| folder.to_string()).collect();
        same_names(&self.root, folders)?;
        for folder in 0..FOLDERS {
            let files = self.files.keys().filter(|file| file.folder == folder);
            let names = files.map(|file| file.name.to_string()).collect();
            same_names(&self.root.join(folder.to_string()), names)?;
        }
        for (file, seed) in &self.files {
            let path = self.path(*file);
            match fs::read(&path) {
                Ok(bytes) if bytes == content(*seed) => {}
                Ok(_) => return Err(format!("{} is not what was written", path.display())),
                Err(error) => return Err(format!("{}: {error}", path.display())),
            }
        }
        Ok(())
    }

    fn write(&mut self, file: Place, seed: u64) -> io::Result<()> {
        fs::write(self.path(file), content(seed))?;
        self.files.insert(file, seed);
        Ok(())
    }

    fn rename(&mut self, from: Place, to: Place) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))?;
        if let Some(seed) = self.files.remove(&from) {
            self.files.insert(to, seed);
        }
        Ok(())
    }

    fn remove(&mut self, file: Place) -> io::Result<()> {
        fs::remove_file(self.path(file))?;
        self.files.remove(&file);
        Ok(())
    }

    fn clear(&mut self, folder: u64) -> io::Result<()> {
        let path = self.root.join(folder.to_string());
        fs::remove_dir_all(&path)?;
        fs::create_dir(path)?;
        self.files.retain(|file, _| file.folder != folder);
        Ok(())
    }

    /// One of the files, if there are any.
    fn some(&self, draw: u64) -> Option<Place> {
        let number = draw as usize % self.files.len().max(1);
        self.files.keys().nth(number).copied()
    }

    fn path(&self, file: Place) -> PathBuf {
        self.root.join(format!("{}/{}", file.folder, file.name))
    }
}

/// Whether the folder has these names and no others.
fn same_names(folder: &Path, wanted: BTreeSet<String>) -> Result<(), String> {
    let found = names(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    if found == wanted {
        return Ok(());
    }
    Err(format!(
        "{} has {found:?} instead of {wanted:?}",
        folder.display()
    ))
}

fn names(folder: &Path) -> io::Result<BTreeSet<String>> {
    fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .collect()
}

fn place(draw: u64) -> Place {
    Place {
        folder: draw % FOLDERS,
        name: draw / FOLDERS % NAMES,
    }
}

/// Noise of a length that the seed decides.
fn content(seed: u64) -> Vec<u8> {
    let mut word = seed;
    (0..seed % LONGEST)
        .flat_map(|_| {
            word = noise(word);
            word.to_le_bytes()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn grown(name: &str, steps: u64) -> (Folder, Tree) {
        let path = std::env::temp_dir().join(format!("colo-tree-{}-{name}", std::process::id()));
        let mut tree = Tree::new(path.clone()).unwrap();
        (0..steps).for_each(|_| tree.step().unwrap());
        (Folder(path), tree)
    }

    fn a_file(tree: &Tree) -> PathBuf {
        let mut files = tree.files.iter().filter(|(_, seed)| *seed % LONGEST > 0);
        tree.path(*files.next().unwrap().0)
    }

    fn wrong_after(name: &str, change: impl FnOnce(&Path)) -> String {
        let (_folder, tree) = grown(name, 200);
        change(&a_file(&tree));
        tree.check().unwrap_err()
    }

    #[test]
    fn what_was_done_is_found_after_every_step() {
        let (_folder, mut tree) = grown("whole", 0);
        let mut most = 0;
        for _ in 0..500 {
            tree.step().unwrap();
            assert_eq!(tree.check(), Ok(()));
            most = most.max(tree.files.len());
        }
        assert!(most > 20, "{most} files at most");
    }

    #[test]
    fn trees_of_the_same_age_are_alike() {
        let ((_one, one), (_two, two)) = (grown("one", 300), grown("two", 300));
        assert_eq!(one.files, two.files);
    }

    #[test]
    fn a_file_that_changed_vanished_or_came_is_found() {
        let changed = wrong_after("changed", |file| {
            let mut bytes = fs::read(file).unwrap();
            bytes[0] ^= 1;
            fs::write(file, bytes).unwrap();
        });
        assert!(changed.ends_with("is not what was written"), "{changed}");
        let gone = wrong_after("gone", |file| fs::remove_file(file).unwrap());
        assert!(gone.contains("instead of"), "{gone}");
        let come = wrong_after("come", |file| fs::write(file.with_file_name("99"), b"").unwrap());
        assert!(come.contains("\"99\""), "{come}");
    }
}
