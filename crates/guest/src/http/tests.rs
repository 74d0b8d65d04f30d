use super::*;
use crate::serve::tests::connect;

fn request(text: &str) -> Option<Result<Request, Refusal>> {
    read_request(&mut text.as_bytes()).unwrap()
}

fn talk(request: &str) -> String {
    let site = Site::default();
    connect::talk(
        connect::listen(move |stream| serve(stream, &site)),
        request.as_bytes(),
    )
}

#[test]
fn a_request_says_its_target_and_whether_to_go_on() {
    let cases = [
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", true),
        ("GET / HTTP/1.1\nHost: x\n\n", true),
        ("GET / HTTP/1.1\r\nConnection: Close\r\n\r\n", false),
        ("GET / HTTP/1.0\r\n\r\n", false),
        ("GET / HTTP/1.0\r\nCONNECTION:keep-alive\r\n\r\n", true),
    ];
    for (text, keep_alive) in cases {
        assert_eq!(
            request(text),
            Some(Ok(Request {
                target: "/".to_owned(),
                keep_alive,
                body: None,
            })),
            "{text}"
        );
    }
}

#[test]
fn what_is_no_request_is_refused_with_its_status() {
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(LONGEST_LINE));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(MOST_FIELDS + 1));
    let cases = [
        ("\r\n", BAD_REQUEST),
        ("GET /\r\n\r\n", BAD_REQUEST),
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n", BAD_REQUEST),
        ("GET / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", BAD_REQUEST),
        (
            "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            BAD_REQUEST,
        ),
        (
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nabc",
            BAD_REQUEST,
        ),
        ("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", BAD_REQUEST),
        ("POST / HTTP/1.1\r\n\r\n", NO_LENGTH),
        ("PUT / HTTP/1.1\r\n\r\n", METHOD),
        ("GET / HTTP/2\r\n\r\n", VERSION),
        (long.as_str(), TOO_LARGE),
        (many.as_str(), TOO_LARGE),
    ];
    for (text, refusal) in cases {
        assert_eq!(request(text), Some(Err(refusal)), "{text}");
    }
    assert_eq!(
        read_request(&mut &b"\xff\r\n\r\n"[..]).unwrap(),
        Some(Err(BAD_REQUEST))
    );
    assert_eq!(request(""), None);
}

#[test]
fn a_request_cut_short_is_not_answered() {
    assert_eq!(talk("GET / HTTP/1.1\r\nHost"), "");
}

#[test]
fn pipelined_requests_are_answered_in_order_on_one_connection() {
    let answers = talk(
        "GET /small HTTP/1.1\r\n\r\nGET /nothing HTTP/1.1\r\nConnection: close\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    );
    assert!(answers.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\n"));
    assert!(
        answers.ends_with("Connection: close\r\n\r\n404 Not Found\n"),
        "{answers}"
    );
    assert_eq!(answers.matches("HTTP/1.1 ").count(), 2);
}

#[test]
fn an_upload_is_answered_with_its_hash_and_the_next_request_is_found_behind_it() {
    let answers = talk(
        "POST /upload HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcPOST /upload HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    );
    let hashes: Vec<_> = answers.lines().filter(|line| line.len() == 66).collect();
    assert_eq!(
        hashes,
        [
            "3 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "0 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ],
        "{answers}"
    );
}

#[test]
fn an_upload_cut_short_is_not_answered() {
    assert_eq!(talk("POST /upload HTTP/1.1\r\nContent-Length: 4\r\n\r\nabc"), "");
}

#[test]
fn a_body_for_another_target_is_read_and_refused() {
    let answers = talk("POST /small HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n");
    assert!(answers.starts_with("HTTP/1.1 405 "), "{answers}");
    assert!(answers.ends_with("it works\n"), "{answers}");
}

#[test]
fn a_large_file_has_the_length_that_was_said() {
    let site = Site::default();
    let address = connect::listen(move |stream| serve(stream, &site));
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /large?mib=2 HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    io::Read::read_to_end(&mut stream, &mut answer).unwrap();
    let head = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
    assert!(String::from_utf8_lossy(&answer[..head]).contains("Content-Length: 2097152\r\n"));
    let mut expected = Vec::new();
    large::write(&mut expected, 512).unwrap();
    assert_eq!(answer[head..], expected[..]);
}
