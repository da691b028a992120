//! ng over connections, with real clients on loopback and a table in the place of the signalling engine.
#![expect(clippy::unwrap_used, reason = "a test may fail by a panic")]

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use relay_common::ng::{Frame, MAX_MESSAGE, Request};
use relay_daemon::call::{CallId, Command, CommandError, Reply};
use relay_daemon::clock::Time;
use relay_daemon::control::{Control, Incoming, RequestQueue, serve_cli, serve_http, serve_ng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// A control thread with listeners.
struct Server {
    tcp: Vec<SocketAddr>,
    http: Vec<SocketAddr>,
    cli: Vec<SocketAddr>,
    commands: Arc<AtomicUsize>,
}

impl Server {
    async fn start() -> Server {
        let (queue, mut requests) = RequestQueue::open();
        let addresses = ["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()];
        let tcp = serve_ng(&addresses, &queue).unwrap();
        let http = serve_http(&addresses, None, &queue).unwrap();
        let cli = serve_cli(&addresses, &queue).unwrap();
        let commands = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&commands);
        tokio::spawn(async move {
            let mut control = Control::default();
            while let Some(request) = requests.recv().await {
                assert!(request.peer.ip().is_loopback());
                let mut run = |command| {
                    count.fetch_add(1, Ordering::Relaxed);
                    run(&command)
                };
                let answer = match &request.incoming {
                    Incoming::Message(message) => control.handle_long(Time(1), message, &mut run),
                    Incoming::Body(body) => Some(control.handle_body(body, &mut run)),
                    Incoming::Cli(line) => Some(format!("<{line}>\n").into_bytes()),
                    Incoming::Metrics => Some(b"up 1\n".to_vec()),
                };
                request.answer(answer);
            }
        });
        Server {
            tcp,
            http,
            cli,
            commands,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.tcp[0]).await.unwrap()
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http[0])
    }
}

/// So many call-ids as are asked for; errors for everything else.
fn run(command: &Command) -> Result<Reply, CommandError> {
    let Command::List { limit } = command else {
        return Err(CommandError::UnknownCall);
    };
    let ids = (0..*limit).map(|number| CallId::from(&*format!("call-{number:095}")));
    Ok(Reply::CallIds(ids.collect()))
}

const PING: &str = "d7:command4:pinge";
const PONG: &str = "d6:result4:ponge";

/// What comes back for a stream of messages that is sent in pieces, until the server ends the connection or so many
/// bytes came.
async fn exchange(stream: &mut TcpStream, pieces: &[&[u8]], expected: usize) -> Vec<u8> {
    let (mut reader, mut writer) = stream.split();
    let write = async {
        for piece in pieces {
            writer.write_all(piece).await.unwrap();
            writer.flush().await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let read = async {
        let mut received = Vec::new();
        while received.len() < expected && reader.read_buf(&mut received).await.unwrap() > 0 {}
        received
    };
    tokio::join!(write, read).1
}

#[tokio::test]
async fn tcp_messages_may_be_cut_anywhere() {
    let server = Server::start().await;
    let sdp = "x".repeat(3000);
    let mut stream = String::new();
    let mut expected = String::new();
    for number in 0..20 {
        stream.push_str(&format!("c{number} {PING}"));
        expected.push_str(&format!("c{number} {PONG}"));
        stream.push_str(&format!("q{number} d7:command5:query7:call-id1:x1:y3000:{sdp}e"));
        expected.push_str(&format!(
            "q{number} d6:result5:error12:error-reason15:Unknown call-ide"
        ));
        stream.push_str(&format!("j{number} {{\"command\":\"ping\",\"x\":\"}}\"}}\r\n"));
        expected.push_str(&format!("j{number} {{\"result\":\"pong\"}}"));
    }
    let stream = stream.as_bytes();
    for (index, size) in [1, 7, 1000, 1025, stream.len()].into_iter().enumerate() {
        let mut connection = TcpStream::connect(server.tcp[index % 2]).await.unwrap();
        connection.set_nodelay(true).unwrap();
        let pieces: Vec<&[u8]> = stream.chunks(size).collect();
        let received = exchange(&mut connection, &pieces, expected.len()).await;
        assert_eq!(
            String::from_utf8(received).unwrap(),
            expected,
            "in pieces of {size}"
        );
    }
    // The cookies were the same on all connections.
    assert_eq!(server.commands.load(Ordering::Relaxed), 20);
}

#[tokio::test]
async fn a_tcp_reply_may_be_longer_than_a_datagram() {
    let server = Server::start().await;
    let mut connection = server.connect().await;
    let request = b"c d7:command4:list5:limiti3000ee";
    let received = exchange(&mut connection, &[request], 300_000).await;
    let frame = Frame::split(&received).unwrap();
    let reply = Request::parse(frame.body).unwrap();
    assert_eq!(reply.find("calls").unwrap().list().unwrap().len(), 3000);
}

#[tokio::test]
async fn a_client_that_ends_its_side_still_gets_its_answers() {
    let server = Server::start().await;
    let mut connection = server.connect().await;
    let request = format!("1 {PING}2 {PING}");
    connection.write_all(request.as_bytes()).await.unwrap();
    connection.shutdown().await.unwrap();
    let mut received = String::new();
    connection.read_to_string(&mut received).await.unwrap();
    assert_eq!(received, format!("1 {PONG}2 {PONG}"));
}

#[tokio::test]
async fn a_broken_message_is_answered_and_ends_the_connection() {
    let server = Server::start().await;
    for (stream, answer) in [
        (
            "1 hello world",
            "1 d6:result5:error12:error-reason22:Invalid NG data formate",
        ),
        (
            "2 d4x",
            "2 d6:result5:error12:error-reason35:Could not decode bencode dictionarye",
        ),
        (
            "GET / HTTP/1.1\r\n\r\n",
            "GET d6:result5:error12:error-reason22:Invalid NG data formate",
        ),
        (" d", ""),
    ] {
        let mut connection = server.connect().await;
        let received = exchange(&mut connection, &[stream.as_bytes()], usize::MAX).await;
        assert_eq!(String::from_utf8(received).unwrap(), answer, "{stream}");
    }
}

#[tokio::test]
async fn a_message_without_an_end_is_cut_off() {
    let server = Server::start().await;
    let mut connection = server.connect().await;
    connection.write_all(b"1 d").await.unwrap();
    let text = format!("{}:{}", 1 << 16, "x".repeat(1 << 16));
    let sent = async {
        let mut sent = 0;
        // A reset, or an end: either way no more is taken.
        while connection.write_all(text.as_bytes()).await.is_ok() {
            sent += text.len();
            assert!(sent < 100 * MAX_MESSAGE);
        }
    };
    tokio::time::timeout(Duration::from_secs(60), sent).await.unwrap();
}

#[tokio::test]
async fn the_cli_port_answers_a_line_and_closes() {
    let server = Server::start().await;
    for (sent, answered) in [
        ("list totals\n", "<list totals>\n"),
        ("list totals\r\nand more", "<list totals\r>\n"),
        ("\n", "<>\n"),
    ] {
        let mut connection = TcpStream::connect(server.cli[1]).await.unwrap();
        let received = exchange(&mut connection, &[sent.as_bytes()], usize::MAX).await;
        assert_eq!(String::from_utf8(received).unwrap(), answered);
    }
    let mut connection = TcpStream::connect(server.cli[0]).await.unwrap();
    connection.write_all(b"without an end").await.unwrap();
    connection.shutdown().await.unwrap();
    let mut received = String::new();
    connection.read_to_string(&mut received).await.unwrap();
    assert_eq!(received, "<without an end>\n");

    let mut connection = TcpStream::connect(server.cli[0]).await.unwrap();
    let endless = vec![b'x'; 1 << 16];
    // A reset is as good as an end.
    let _ = connection.write_all(&endless).await;
    let mut received = Vec::new();
    let _ = connection.read_to_end(&mut received).await;
    assert_eq!(received, b"");
}

#[tokio::test]
async fn http_has_the_paths_and_types_of_the_reference() {
    let server = Server::start().await;
    let ping = server.url("/ping");
    let ng = server.url("/ng");
    let plain = server.url("/ng-plain");
    spawn_blocking(move || {
        let agent = agent();
        let get = |url: &str| answer(agent.get(url).call());
        let post = |url: &str, kind: &str, body: &str| answer(agent.post(url).content_type(kind).send(body));
        assert_eq!(get(&ping), (200, "text/plain".into(), "pong\n".into()));
        assert_eq!(
            get(&ping.replace("/ping", "/metrics")),
            (
                200,
                "text/plain; version=0.0.4; charset=utf-8".into(),
                "up 1\n".into()
            )
        );
        let cli = ping.replace("/ping", "/cli");
        let text = "text/plain";
        assert_eq!(
            get(&format!("{cli}/list+sessions+a%2Bb%20c/d")),
            (200, text.into(), "<list sessions a+b c/d>\n".into())
        );
        assert_eq!(
            post(&cli, "text/plain", "usage"),
            (200, text.into(), "<usage>\n".into())
        );
        assert_eq!(post(&cli, "application/json", "usage").0, 404);
        assert_eq!(get(&format!("{cli}/")), (200, text.into(), "<>\n".into()));
        for url in [&ng, &ping.replace("/ping", "/nothing"), &cli] {
            assert_eq!(get(url), (404, text.into(), "not found\n".into()));
        }

        const NG: &str = "application/x-rtpengine-ng";
        const JSON: &str = "application/json";
        assert_eq!(
            post(&ng, NG, &format!("c {PING}")),
            (200, NG.into(), format!("c {PONG}"))
        );
        assert_eq!(
            post(&ng, NG, "j {\"command\":\"ping\"}"),
            (200, NG.into(), "j {\"result\":\"pong\"}".into())
        );
        assert_eq!(post(&ng, JSON, &format!("c {PING}")).0, 404);
        assert_eq!(post(&ng, NG, PING).0, 400, "no cookie");
        assert_eq!(post(&plain, NG, PING), (200, NG.into(), PONG.into()));
        assert_eq!(
            post(
                &plain,
                "application/json; charset=utf-8",
                "{\"command\":\"ping\"}"
            ),
            (200, JSON.into(), "{\"result\":\"pong\"}".into())
        );
        // The type of the reply is that of the request, whatever the body is.
        assert_eq!(post(&plain, JSON, PING), (200, JSON.into(), PONG.into()));
        assert_eq!(post(&plain, "text/plain", PING).0, 404);
        let (status, _, body) = post(&plain, JSON, "{\"command\":");
        assert_eq!(status, 200);
        assert!(body.contains("Failed to parse JSON document"), "{body}");
        assert_eq!(post(&plain, NG, &"x".repeat(MAX_MESSAGE + 1)).0, 413);
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn browsers_may_ask() {
    let server = Server::start().await;
    let url = server.url("/ng-plain");
    spawn_blocking(move || {
        let agent = agent();
        let preflight = agent.options(&url).call().unwrap();
        let refused = agent.get(&url.replace("/ng-plain", "/nothing")).call().unwrap();
        assert_eq!(
            (preflight.status().as_u16(), refused.status().as_u16()),
            (200, 404)
        );
        for response in [preflight, refused] {
            let header = |name: &str| response.headers()[&format!("access-control-{name}")[..]].clone();
            assert_eq!(header("allow-origin"), "*");
            assert_eq!(header("max-age"), "86400");
            assert_eq!(header("allow-methods"), "GET, POST");
            assert_eq!(header("allow-headers"), "Content-Type");
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn cookies_are_shared_by_tcp_http_and_websocket() {
    let server = Server::start().await;
    let request = "same d7:command4:list5:limiti1ee";
    let mut connection = server.connect().await;
    let reply = format!("same d5:callsl100:call-{:095}e6:result2:oke", 0);
    let first = exchange(&mut connection, &[request.as_bytes()], reply.len()).await;
    assert_eq!(first, reply.as_bytes());
    let url = server.url("/ng");
    let over_http = spawn_blocking(move || {
        let sent = agent()
            .post(&url)
            .content_type("application/x-rtpengine-ng")
            .send(format!("same {PING}"));
        answer(sent).2
    });
    assert_eq!(over_http.await.unwrap().as_bytes(), first);
    let mut socket = server.websocket("/", &["ng.rtpengine.com"]).await.unwrap();
    let over_websocket = talk(&mut socket, Message::text(format!("same {PING}"))).await;
    assert_eq!(over_websocket.into_data(), first);
    assert_eq!(server.commands.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn websocket_subprotocols() {
    // All that is sent is binary, as with the reference.
    let server = Server::start().await;
    let mut ng = server.websocket("/ng", &["ng.rtpengine.com"]).await.unwrap();
    for number in 0..3 {
        let reply = talk(&mut ng, Message::text(format!("{number} {PING}"))).await;
        assert_eq!(reply, Message::binary(format!("{number} {PONG}")));
    }
    let reply = talk(&mut ng, Message::binary(format!("x {PING}"))).await;
    assert_eq!(reply, Message::binary(format!("x {PONG}")));
    // What has no cookie has no answer: the next one is that to the next message.
    send(&mut ng, Message::text("nonsense")).await;
    let reply = talk(&mut ng, Message::text(format!("y {PING}"))).await;
    assert_eq!(reply, Message::binary(format!("y {PONG}")));

    let mut plain = server
        .websocket("/", &["chat", "ng-plain.rtpengine.com"])
        .await
        .unwrap();
    let reply = talk(&mut plain, Message::text("{\"command\":\"ping\"}")).await;
    assert_eq!(reply, Message::binary("{\"result\":\"pong\"}"));
    let long = format!("{{\"command\":\"ping\",\"x\":\"{}\"}}", "x".repeat(200_000));
    assert_eq!(
        talk(&mut plain, Message::text(long)).await,
        Message::binary("{\"result\":\"pong\"}")
    );

    let mut cli = server.websocket("/", &["cli.rtpengine.com"]).await.unwrap();
    for line in ["list totals", "usage"] {
        let answer = talk(&mut cli, Message::text(line)).await;
        assert_eq!(answer, Message::binary(format!("<{line}>\n")));
    }

    let mut echo = server.websocket("/x/y", &["echo.rtpengine.com"]).await.unwrap();
    for message in [Message::text("hello"), Message::binary(vec![0, 255])] {
        let echoed = talk(&mut echo, message.clone()).await;
        assert_eq!(echoed, Message::binary(message.into_data()));
    }
}

#[tokio::test]
async fn unknown_subprotocols_are_refused() {
    let server = Server::start().await;
    for offered in [&["chat"][..], &[]] {
        let refused = server.websocket("/", offered).await.unwrap_err();
        let tungstenite::Error::Http(response) = refused else {
            panic!("{refused}");
        };
        assert_eq!(response.status(), 400);
    }
}

#[tokio::test]
async fn a_websocket_message_that_is_too_long_ends_the_connection() {
    let server = Server::start().await;
    let mut echo = server.websocket("/", &["echo.rtpengine.com"]).await.unwrap();
    send(&mut echo, Message::binary(vec![0; MAX_MESSAGE + 1])).await;
    let end = next(&mut echo).await;
    assert!(!matches!(end, Some(Ok(Message::Binary(_)))), "{end:?}");
}

/// With the clock stopped, time passes only while everybody waits.
#[tokio::test(start_paused = true)]
async fn silent_connections_are_closed() {
    const PATIENCE: Duration = Duration::from_secs(30);
    const IDLE: Duration = Duration::from_secs(3600);
    let server = Server::start().await;
    let get = "GET /ping HTTP/1.1\r\nHost: x\r\n";
    let post = "POST /ng HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n";
    let whole = format!("1 {PING}");
    let begun = format!("2 {PING}3 d7:comm");
    for (address, sent, answered, limit) in [
        (server.tcp[0], "", "", PATIENCE),
        (server.tcp[0], "\n", "", PATIENCE),
        (server.tcp[0], "1 d7:comm", "", PATIENCE),
        (server.tcp[0], &whole, PONG, IDLE),
        (server.tcp[0], &begun, PONG, PATIENCE),
        (server.cli[0], "list", "", PATIENCE),
        (server.http[0], "", "", PATIENCE),
        (server.http[0], get, "", PATIENCE),
        (server.http[0], &format!("{get}\r\n"), "pong", PATIENCE),
        (server.http[0], post, "408", PATIENCE),
    ] {
        let mut connection = TcpStream::connect(address).await.unwrap();
        let began = tokio::time::Instant::now();
        connection.write_all(sent.as_bytes()).await.unwrap();
        let mut received = String::new();
        connection.read_to_string(&mut received).await.unwrap();
        let waited = began.elapsed();
        assert!(received.contains(answered), "{sent:?}: {received}");
        assert!(waited >= limit && waited < 2 * limit, "{sent:?}: {waited:?}");
    }
}

/// A client that sends a byte now and then does not live longer than one that sends none.
#[tokio::test(start_paused = true)]
async fn a_message_must_be_whole_in_time() {
    let server = Server::start().await;
    let mut connection = server.connect().await;
    let began = tokio::time::Instant::now();
    let mut next = b"1 d7:command4:ping".iter().cycle();
    let mut received = [0; 1];
    loop {
        let byte = next.next().unwrap();
        let sent = connection.write_all(&[*byte]).await;
        let read = tokio::time::timeout(Duration::from_secs(2), connection.read(&mut received)).await;
        if sent.is_err() || read.is_ok() {
            break;
        }
    }
    let waited = began.elapsed().as_secs();
    assert!((30..60).contains(&waited), "{waited}");
}

/// The clients that operators have at hand.
#[tokio::test]
async fn curl_is_understood() {
    let server = Server::start().await;
    let url = server.url("/ng-plain");
    let curl = spawn_blocking(move || {
        std::process::Command::new("curl")
            .args(["-sS", "-H", "Content-Type: application/json"])
            .args(["-d", "{\"command\":\"ping\"}", &url])
            .output()
    });
    match curl.await.unwrap() {
        Ok(output) => assert_eq!(output.stdout, b"{\"result\":\"pong\"}", "{output:?}"),
        Err(error) => {
            writeln!(std::io::stderr(), "skipped: curl does not run: {error}").unwrap();
        }
    }
}

#[tokio::test]
async fn a_taken_address_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let (queue, _requests) = RequestQueue::open();
    for error in [
        serve_ng(&[address], &queue).unwrap_err(),
        serve_http(&[address], None, &queue).unwrap_err(),
    ] {
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

impl Server {
    async fn websocket(&self, path: &str, offered: &[&str]) -> Result<Socket, tungstenite::Error> {
        let url = format!("ws://{}{path}", self.http[1]);
        let mut request = url.into_client_request().unwrap();
        if !offered.is_empty() {
            let value = offered.join(", ").parse().unwrap();
            request.headers_mut().insert("Sec-WebSocket-Protocol", value);
        }
        let (socket, response) = connect_async(request).await?;
        let chosen = response.headers()["Sec-WebSocket-Protocol"].to_str().unwrap();
        assert!(offered.contains(&chosen) && chosen.ends_with("rtpengine.com"));
        Ok(socket)
    }
}

async fn send(socket: &mut Socket, message: Message) {
    SinkExt::send(socket, message).await.unwrap();
}

async fn next(socket: &mut Socket) -> Option<Result<Message, tungstenite::Error>> {
    StreamExt::next(socket).await
}

async fn talk(socket: &mut Socket, message: Message) -> Message {
    send(socket, message).await;
    next(socket).await.unwrap().unwrap()
}

/// A client that takes every status for an answer.
fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().http_status_as_error(false);
    config.build().into()
}

/// Status, type and body.
fn answer(response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> (u16, String, String) {
    let mut response = response.unwrap();
    let kind = response.headers().get("content-type");
    let kind = kind.map(|kind| kind.to_str().unwrap().to_owned());
    let body = response.body_mut().read_to_string().unwrap();
    (response.status().as_u16(), kind.unwrap_or_default(), body)
}
