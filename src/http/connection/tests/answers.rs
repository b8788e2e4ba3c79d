//! What is not a stream: pages, files, and answers that refuse.

use super::*;

#[test]
fn what_is_at_the_root_depends_on_accept_and_says_so() {
    for (accept, path, varies) in [
        ("text/event-stream", "/", true),
        ("text/event-stream", "/events", false),
        ("text/html", "/", true),
        ("text/html", "/a.txt", false),
    ] {
        let mut play = Play::new();
        play.service.page = CustomPage::Folder;
        play.input(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n"));
        play.find(file(10));
        play.take_all(1000);
        let head = String::from_utf8(play.sent).expect("is text");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert_eq!(head.contains("\r\nVary: Accept\r\n"), varies, "{accept} {path}");
    }
}

#[test]
fn pages_in_a_folder_are_redirected_to_where_their_urls_have_the_token_and_other_files_are_not() {
    for (path, is_page) in [("/", true), ("/a/", true), ("/a.html", true), ("/a/b.html", true), ("/a.css", false)] {
        let mut play = Play::new();
        play.service.page = CustomPage::Folder;
        play.service.token = Token::new("secret");
        let action = play
            .input(&format!("GET {path}?access_token=secret HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n"));
        play.take_all(1000);
        assert_eq!(play.sent.starts_with(b"HTTP/1.1 307 "), is_page, "{path}");
        assert_eq!(matches!(action, Some(Action::LookUp(_))), !is_page, "{path}: {action:?}");
    }
}

/// A client that waits for the page, a file.
fn wants_page() -> Play {
    let mut play = Play::new();
    let action = play.input("GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n");
    assert_eq!((action, play.take(1000)), (Some(Action::LookUp(Target::Page)), 0));
    play
}

fn file(length: usize) -> Found {
    Found::File { media_type: "text/html".to_owned(), length: length as u64 }
}

impl Play {
    fn find(&mut self, found: Found) -> bool {
        self.connection.handle_found(found, &self.service, "DATE", self.now)
    }
}

#[test]
fn a_404_says_what_is_missing_and_what_there_is() {
    for (page, path, starts, has_files) in [
        (CustomPage::None, "/nowhere", "not found; there are /events", false),
        (CustomPage::File, "/", "the page can't be read: gone\n", false),
        (CustomPage::Folder, "/a.txt", "not found (gone); there are /events", true),
    ] {
        let mut play = Play::new();
        play.service.page = page;
        play.input(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n"));
        play.find(Found::Missing("gone".to_owned()));
        play.take_all(1000);
        assert!(play.sent.starts_with(b"HTTP/1.1 404 ") && play.content().starts_with(starts), "{}", play.content());
        assert_eq!(play.content().contains("the files of --page"), has_files, "{}", play.content());
    }
}

#[test]
fn a_file_without_content_is_answered_at_once_and_not_read() {
    for (method, length) in [("GET", 0), ("HEAD", 10)] {
        let mut play = Play::new();
        play.input(&format!("{method} / HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n"));
        assert!(!play.find(file(length)), "{method}: its content is not needed");
        assert_eq!(play.connection.poll_content(play.now), None);
        play.take_all(1000);
        assert_eq!(play.connection.poll_content(play.now), None);
        assert!(play.connection.poll_shutdown() && play.content().is_empty());
    }
}

#[test]
fn a_file_is_asked_for_piece_by_piece_and_nothing_of_it_is_held_for_a_client_that_does_not_read() {
    let whole = "<p>hello".repeat(100_000);
    for (cut, step, gone) in
        [(whole.len(), PIECE, None), (whole.len(), 7777, None), (300_000, 7777, Some(CloseReason::Left))]
    {
        let mut play = wants_page();
        play.find(file(whole.len()));
        play.take_all(1000);
        while let Some((at, length)) = play.connection.poll_content(play.now) {
            assert!(length <= PIECE && at as usize + length <= whole.len(), "no more of it than was announced");
            assert!(!play.connection.has_pending(&play.log), "nothing is to be done until it is here");
            assert_eq!(play.connection.poll_content(play.now), None, "it is asked for once");
            let from = cut.min(at as usize);
            play.connection.handle_content(whole.as_bytes()[from..cut.min(from + length)].to_vec());
            if play.connection.poll_closed().is_none() {
                assert_eq!(play.take(step), step.min(length).min(cut - from));
                assert!(play.connection.staged.is_empty(), "what the socket did not take is dropped");
            }
        }
        assert!(play.content() == &whole[..cut], "{} bytes", play.content().len());
        assert_eq!((play.connection.poll_closed(), play.connection.poll_shutdown()), (gone, gone.is_none()));
    }
}

#[test]
fn a_client_that_reads_nothing_of_a_file_is_dropped_however_often_the_disk_is_asked() {
    let mut play = wants_page();
    play.find(file(10));
    play.take_all(1000);
    for _ in 0..9 {
        assert_eq!(play.connection.poll_content(play.now), Some((0, 10)));
        play.wait(STALL / 10);
        play.connection.handle_content(b"0123456789".to_vec());
        assert_eq!(play.take(0), 0);
    }
    assert_eq!(play.connection.poll_closed(), None);
    play.wait(STALL / 10);
    assert_eq!(play.connection.poll_closed(), Some(CloseReason::Stalled));
}

#[test]
fn a_disk_that_does_not_answer_is_not_waited_for_without_end() {
    let mut play = wants_page();
    play.wait(DISK_TIME - Duration::from_millis(1));
    assert_eq!(play.take(1000), 0);
    play.wait(Duration::from_millis(1));
    play.take_all(1000);
    assert!(play.sent.starts_with(b"HTTP/1.1 503 "), "{}", play.sent.escape_ascii());
    assert!(play.connection.poll_shutdown());
    play.find(file(10));
    assert_eq!(play.connection.poll_content(play.now), None, "it is too late");

    let mut play = wants_page();
    play.find(file(10));
    play.take_all(1000);
    assert_eq!(play.connection.poll_content(play.now), Some((0, 10)));
    play.wait(DISK_TIME - Duration::from_millis(1));
    assert_eq!(play.connection.poll_closed(), None);
    play.wait(Duration::from_millis(1));
    assert!(play.connection.poll_closed().is_some());
    play.connection.handle_content(b"0123456789".to_vec());
    assert_eq!(play.take(1000), 0, "it is too late");
}

#[test]
fn a_client_that_closes_its_side_gets_its_file_and_one_that_is_lost_does_not() {
    let mut play = wants_page();
    play.connection.handle_eof();
    play.find(Found::Busy);
    play.take_all(1000);
    assert!(play.sent.starts_with(b"HTTP/1.1 503 "));

    let mut play = wants_page();
    play.connection.handle_error();
    play.find(file(10));
    assert_eq!((play.connection.poll_closed(), play.take(1000)), (Some(CloseReason::Left), 0));
}

#[test]
fn the_built_in_page_is_sent_from_where_it_stands() {
    let content = assets::find("/viewer/viewer.css").expect("is there").content;
    for (method, want) in [("GET", content), ("HEAD", &[])] {
        let mut play = Play::new();
        play.input(&format!("{method} /viewer/viewer.css HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        let head = play.connection.staged.len();
        while play.sent.len() < head + want.len() {
            let from = play.sent.len();
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let count = play.connection.poll_write(&play.log, &mut slices, usize::MAX);
            let rest = slices[count - 1].as_ptr();
            assert!(from < head || rest == content[from - head..].as_ptr(), "it was copied");
            play.take(7777);
        }
        assert!(play.connection.poll_shutdown());
        assert!(play.content().as_bytes() == want, "{method}: {} bytes", play.content().len());
    }
}

#[test]
fn the_built_in_page_is_at_its_two_paths_with_its_title() {
    for (title, want) in [(None, "<title>"), (Some("Ships & boats"), "<title>Ships &amp; boats")] {
        for path in ["/", "/viewer"] {
            for method in ["GET", "HEAD"] {
                let mut play = Play::new();
                play.service.page = CustomPage::None;
                play.service.title = title.map(str::to_owned);
                play.input(&format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n"));
                play.take_all(100_000);
                assert!(play.sent.starts_with(b"HTTP/1.1 200 "), "{method} {path}");
                let has_title = play.content().contains(want);
                assert_eq!((has_title, play.content().is_empty()), (method == "GET", method == "HEAD"), "{path}");
            }
        }
    }
}

#[test]
fn beyond_the_limit_there_is_everything_but_streams() {
    let get = |path: &str, accept: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n");
    for (path, accept, over_limit, crowded, status, turned_away) in [
        ("/events", "text/event-stream", true, true, 200, true),
        ("/events", "*/*", true, true, 503, true),
        ("/", "*/*", true, true, 503, true),
        ("/viewer", "text/html", true, true, 200, false),
        ("/viewer/viewer.js", "*/*", true, true, 200, false),
        ("/nowhere", "*/*", true, true, 404, false),
        ("/events", "*/*", true, false, 200, false), // a place is free by now
        ("/events", "*/*", false, true, 200, false), // it has had one since it connected
    ] {
        let mut play = Play::new();
        play.connection = Connection::new(play.now, Accepted { over_limit, ..Accepted::default() });
        play.crowded = crowded;
        let action = play.input(&get(path, accept));
        play.take_all(100_000);
        let case = format!("{path} {accept}, {over_limit} {crowded}: {action:?}");
        assert!(play.sent.starts_with(format!("HTTP/1.1 {status} ").as_bytes()), "{case}");
        assert_eq!(action == Some(Action::TurnedAway), turned_away, "{case}");
        assert_eq!(play.content().ends_with("\n\r\n0\r\n\r\n"), status == 200 && turned_away, "{case}");
    }
}
