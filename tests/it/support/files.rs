//! The repository's files, and fresh folders for those of a test.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A file or folder of the repository.
#[track_caller]
pub fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The text of one of the repository's files.
#[track_caller]
pub fn read(file: &str) -> String {
    std::fs::read_to_string(at(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The content of the first fenced block of this language.
#[track_caller]
pub fn fenced<'a>(markdown: &'a str, language: &str) -> &'a str {
    let start = format!("\n```{language}\n");
    let (_, block) = markdown.split_once(&start).unwrap_or_else(|| panic!("there is no block {language}"));
    let end = block.find("\n```").expect("a block ends");
    &block[..=end]
}

/// The commands in all blocks of the language `sh`: their lines, without comments.
pub fn commands(markdown: &str) -> Vec<&str> {
    let blocks =
        markdown.split("\n```sh\n").skip(1).map(|rest| rest.split("\n```").next().expect("there is a first part"));
    let lines = blocks.flat_map(str::lines).map(|line| line.split("  #").next().expect("there is a first part").trim());
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

/// README and the files of `docs/`: path and text.
pub fn documents() -> Vec<(String, String)> {
    let docs = std::fs::read_dir(at("docs")).expect("there is a folder docs");
    let docs = docs.map(|entry| format!("docs/{}", entry.expect("can be listed").file_name().display()));
    let mut names: Vec<String> = docs.filter(|name| name.ends_with(".md")).collect();
    names.sort();
    names.insert(0, "README.md".to_owned());
    names.into_iter().map(|name| (name.clone(), read(&name))).collect()
}

/// A fresh folder with the name of a test. It stays, to be looked at, until the next run.
#[track_caller]
pub fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder); // of an earlier run
    std::fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    folder
}

/// An empty folder of its own. Gone when dropped.
pub struct Folder(pub PathBuf);

impl Folder {
    #[track_caller]
    pub fn new() -> Folder {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("sse-pipe-test-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&folder); // of a run that was killed, in a process of the same number
        std::fs::create_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        Folder(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
