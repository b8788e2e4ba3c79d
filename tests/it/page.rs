//! A user's own page (behaviour 6.3): a file, or a folder. No request can get outside it.

use crate::support::client::{Client, DEADLINE, End};
use crate::support::files::folder;
use crate::support::linux::memory;
use crate::support::program::{Program, run};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

const HTML: &str = "Accept: text/html,*/*;q=0.8\r\n";

/// A folder with public files, private ones next to it, and links in both directions.
fn site(name: &str) -> std::path::PathBuf {
    let around = folder(name);
    let site = around.join("site");
    fs::create_dir_all(site.join("sub/deep")).expect("can be made");
    fs::create_dir_all(site.join(".git")).expect("can be made");
    for (path, content) in [
        ("secret.txt", "SECRET"),
        ("site/index.html", "<p>index"),
        ("site/a.js", "let a;"),
        ("site/a b\u{e9}%.txt", "strange name"),
        ("site/sub/index.html", "<p>sub"),
        ("site/sub/deep/b.json", "{}"),
        ("site/.env", "SECRET"),
        ("site/.git/config", "SECRET"),
        ("site/a[1]|^{`}.txt", "strange, too"),
        ("site/empty.txt", ""),
        ("site/events", "never seen"),
        ("site/viewer", "never seen"),
    ] {
        fs::write(around.join(path), content).expect("can be written");
    }
    for (target, link) in [
        ("../secret.txt", "out.txt"),
        ("..", "up"),
        ("/etc", "etc"),
        (".env", "hidden.txt"),
        ("a.js", "in.js"),
        ("loop", "loop"),
        ("nowhere", "dangling"),
    ] {
        symlink(target, site.join(link)).expect("can be made");
    }
    site
}

fn serve(site: &Path) -> Program {
    Program::start(&["--page", site.to_str().expect("is text")])
}

#[test]
fn a_folder_is_served_with_the_media_types_of_its_files() {
    let program = serve(&site("page-served"));
    for (path, media_type, content) in [
        ("/", "text/html; charset=utf-8", "<p>index"),
        ("/index.html", "text/html; charset=utf-8", "<p>index"),
        ("/a.js", "text/javascript; charset=utf-8", "let a;"),
        ("/a.js?x=/../y", "text/javascript; charset=utf-8", "let a;"),
        ("/in.js", "text/javascript; charset=utf-8", "let a;"),
        ("/%61.js", "text/javascript; charset=utf-8", "let a;"),
        ("/a%20b%C3%A9%25.txt", "text/plain; charset=utf-8", "strange name"),
        ("/a[1]|^%7B%60%7D.txt", "text/plain; charset=utf-8", "strange, too"), // as browsers send it
        ("/a%5B1%5D%7C%5E%7B%60%7D.txt", "text/plain; charset=utf-8", "strange, too"),
        ("/sub/", "text/html; charset=utf-8", "<p>sub"),
        ("/sub/deep/b.json", "application/json", "{}"),
        ("/empty.txt", "text/plain; charset=utf-8", ""),
    ] {
        let mut client = program.get(path, HTML);
        assert_eq!((client.status, client.field("Content-Type").as_deref()), (200, Some(media_type)), "{path}");
        assert_eq!(client.field("Content-Length"), Some(content.len().to_string()), "{path}");
        assert_eq!(client.field("X-Content-Type-Options").as_deref(), Some("nosniff"), "{path}");
        assert_eq!(client.content(), content, "{path}");
        let mut head = program.request(&format!("HEAD {path} HTTP/1.1\r\nHost: localhost\r\n{HTML}\r\n"));
        let fields = |client: &Client| client.head.lines().filter(|l| !l.starts_with("Date")).collect::<String>();
        assert_eq!((fields(&head), head.content()), (fields(&client), String::new()), "HEAD {path}");
    }
    assert_eq!(program.stream_with("/", "").status, 200);
    let types = |path| program.get(path, HTML).field("Content-Type");
    assert_eq!(types("/events").as_deref(), Some("text/event-stream"), "the stream is where it always is");
    assert!(program.get("/viewer", HTML).content().contains("sse-pipe"), "and so is the built-in page");
    let to_folder = program.get("/sub?x=y", HTML);
    assert_eq!((to_folder.status, to_folder.field("Location").as_deref()), (307, Some("./sub/?x=y")));
}

#[test]
fn there_is_no_way_out_of_a_folder_and_no_dotfile_in_it() {
    let site = site("page-no-way");
    let program = serve(&site);
    let absolute = site.parent().expect("has one").join("secret.txt").display().to_string();
    let dots =
        ["..", ".%2e", "%2e.", "%2e%2e", "%2E%2E", "%252e%252e", ".", "%2e", "...", "..%00", "..;", "%c0%ae%c0%ae"];
    let mut paths: Vec<String> = Vec::new();
    for dots in dots {
        for slash in ["/", "%2f", "%5c", "%255c", "%252f", "%c0%af"] {
            paths.push(format!("/{dots}{slash}secret.txt"));
            paths.push(format!("/sub{slash}{dots}{slash}{dots}{slash}secret.txt"));
            paths.push(format!("/sub/{dots}{slash}a.js")); // even where it would stay inside
        }
    }
    for path in [
        absolute.as_str(),
        &format!("/{absolute}"),
        &format!("/{}", absolute.replace('/', "%2f")),
        "/out.txt",
        "/up/secret.txt",
        "/etc/passwd",
        "/hidden.txt",
        "/.env",
        "/%2eenv",
        "/.git/config",
        "/%2Egit/config",
        "/sub/../.env",
        "/loop",
        "/dangling",
        "//a.js",
        "/sub//index.html",
        "/a.js/",
        "/a.js/x",
        "/a.js%00.html",
        "/a.js%00",
        "/%00",
        "/sub/deep/",
        "/A.JS",
        "/nowhere",
    ] {
        paths.push(path.to_owned());
    }
    let long = format!("/{}", "x".repeat(4000));
    paths.push(long);
    for path in &paths {
        let mut client = program.get(path, HTML);
        let content = client.content();
        assert_eq!(client.status, 404, "{path}: {content}");
        assert!(!content.contains("SECRET") && !content.contains("root:"), "{path}: {content}");
    }
    for target in ["/..\\secret.txt", "..\\secret.txt", "../secret.txt", "/a\0.js"] {
        let client = program.request(&format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert_eq!(client.status, 400, "{target:?}");
    }
    let absolute_form = format!("GET http://localhost/../secret.txt HTTP/1.1\r\nHost: localhost\r\n{HTML}\r\n");
    assert_eq!(program.request(&absolute_form).status, 404);
    assert!(paths.len() > 200, "all of them were tried: {}", paths.len());
}

#[test]
fn a_file_is_read_afresh_for_each_request() {
    let site = site("page-fresh");
    let program = serve(&site);
    for content in ["let b;", "let c;"] {
        fs::write(site.join("a.js"), content).expect("can be written");
        let mut client = program.get("/a.js", "");
        assert_eq!(client.field("Cache-Control").as_deref(), Some("no-cache"));
        assert_eq!((client.status, client.content().as_str()), (200, content));
    }
}

#[test]
fn a_file_that_comes_and_goes_is_looked_for_each_time() {
    let site = site("page-comes");
    let file = site.join("later.html");
    let program = serve(&site);
    for content in [None, Some("one"), Some("two"), None] {
        match content {
            Some(content) => fs::write(&file, content).expect("can be written"),
            None => drop(fs::remove_file(&file)),
        }
        let mut client = program.get("/later.html", HTML);
        let want = if content.is_some() { 200 } else { 404 };
        assert_eq!(client.status, want);
        let text = client.content();
        assert!(content.is_none_or(|content| text == content), "{text}");
    }
    fs::rename(&site, site.with_extension("gone")).expect("is there");
    assert_eq!(program.get("/", HTML).status, 404, "the folder itself is gone");
    assert_eq!(program.stream().status, 200, "and the stream is there");
}

#[test]
fn nothing_waits_for_what_is_not_a_regular_file() {
    let site = site("page-fifo");
    let made = Command::new("mkfifo").arg(site.join("fifo.html")).status();
    assert!(made.is_ok_and(|status| status.success()));
    let _socket = std::os::unix::net::UnixListener::bind(site.join("s")).expect("is free");
    let program = serve(&site);
    for path in ["/fifo.html", "/s"] {
        assert_eq!(program.get(path, HTML).status, 404, "{path}");
    }
}

#[test]
fn a_large_file_comes_whole_and_takes_little_memory() {
    let site = site("page-large");
    let large: Vec<u8> = (0..16_u32 << 20 >> 2).flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes()).collect();
    fs::write(site.join("large.bin"), &large).expect("can be written");
    let program = serve(&site);
    let before = memory(program.pid());
    // Those that don't read hold what the kernel takes, and nothing of ours but a piece.
    let idle: Vec<_> = (0..20).map(|_| program.get("/large.bin", "")).collect();
    let mut client = program.get("/large.bin", "");
    let mut got = Vec::new();
    while let Some(bytes) = client.next_chunk() {
        got.extend(bytes);
    }
    assert!(got == large, "{} bytes of {}", got.len(), large.len());
    let grown = memory(program.pid()).saturating_sub(before);
    assert!(grown < 30 << 20, "{grown} bytes for {} clients and a file of 16 MiB", idle.len() + 1);
    drop(idle);

    let mut cut = program.get("/large.bin", "");
    fs::write(site.join("large.bin"), "now it is short").expect("can be written");
    let mut n = 0;
    while let Some(bytes) = cut.next_chunk() {
        n += bytes.len();
    }
    assert!(n < large.len(), "one that gets shorter meanwhile is cut, not padded");
}

#[test]
fn a_page_that_is_missing_at_the_start_is_refused_and_one_that_vanishes_is_found_again() {
    let folder = folder("page-missing");
    let file = folder.join("page.html");
    let path = file.to_str().expect("is text");
    for missing in [path.to_owned(), format!("{path}/"), format!("{path}/index.html")] {
        let (code, _, stderr) = run(&["--port", "0", "--at-eof", "exit", "--page", &missing], Stdio::null());
        assert_eq!((code, stderr.lines().count()), (Some(2), 1), "{stderr}");
        assert!(stderr.starts_with(&format!("sse-pipe: --page '{missing}': No such file or directory")), "{stderr}");
    }
    fs::write(&file, "<p>first").expect("can be written");
    let (code, _, stderr) = run(&["--port", "0", "--at-eof", "exit", "--page", &format!("{path}/x")], Stdio::null());
    assert_eq!(code, Some(2), "{stderr}");
    let program = Program::start(&["--page", path]);
    assert_eq!(program.get("/", HTML).status, 200);
    fs::remove_file(&file).expect("is there");
    assert_eq!(program.get("/", HTML).status, 404, "it may vanish");
    fs::write(&file, "<p>here").expect("can be written");
    let mut client = program.get("/", HTML);
    assert_eq!((client.status, client.content().as_str()), (200, "<p>here"));
    assert_eq!(program.get("/page.html", HTML).status, 404, "it stands at / alone");
    let mut empty = Program::start(&["--page", folder.join(".").to_str().expect("is text")]);
    empty.wait_for("no index.html");
}

#[test]
fn a_stream_next_to_a_page_ends_properly() {
    let mut program = serve(&site("page-stream"));
    let mut client = program.stream_with("/", "");
    program.write("a\n");
    program.close_input();
    assert_eq!(client.rest(), (vec!["a".to_owned()], End::Proper));
    program.end_within(DEADLINE);
}
