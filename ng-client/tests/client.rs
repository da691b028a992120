//! The client against servers that answer, stay silent, or are not there.

use std::net::SocketAddr;
use std::time::Duration;

use ng_client::{Client, ClientError, Dictionary, command};
use relay_common::ng::{Format, Frame, Request, Response};
use tokio::net::UdpSocket;

/// A server that is driven by hand.
struct Server {
    socket: UdpSocket,
    buf: Vec<u8>,
}

impl Server {
    async fn start() -> (Server, SocketAddr) {
        Server::at("127.0.0.1:0").await
    }

    async fn at(address: &str) -> (Server, SocketAddr) {
        let socket = UdpSocket::bind(address).await.expect("a free port");
        let address = socket.local_addr().expect("bound");
        let buf = vec![0; 65536];
        (Server { socket, buf }, address)
    }

    /// The next datagram, and who sent it.
    async fn receive(&mut self) -> (Vec<u8>, SocketAddr) {
        let received = self.socket.recv_from(&mut self.buf).await;
        let (length, client) = received.expect("a datagram");
        (self.buf[..length].to_vec(), client)
    }

    async fn reply(&self, cookie: &[u8], response: Response, client: SocketAddr) {
        let body = response.encode(Format::Bencode);
        let datagram = Frame { cookie, body: &body }.join();
        self.socket.send_to(&datagram, client).await.expect("sent");
    }
}

#[tokio::test]
async fn a_request_gets_its_reply() {
    let (mut server, address) = Server::start().await;
    let serve = async {
        let (datagram, client) = server.receive().await;
        let frame = Frame::split(&datagram).unwrap();
        let request = Request::parse(frame.body).unwrap();
        assert_eq!(request.command().unwrap(), "offer");
        assert_eq!(request.find("from-tag").unwrap().text().unwrap(), "f");
        let sdp = request.find("sdp").unwrap().text().unwrap().into_owned();
        server
            .reply(frame.cookie, Response::ok().with("sdp", sdp), client)
            .await;
    };
    let mut client = Client::connect(address).await.unwrap();
    let offer = command::offer("c", "f", "v=0\r\n");
    let (reply, ()) = tokio::join!(client.request(&offer), serve);
    assert_eq!(reply.unwrap().find("sdp").unwrap().text().unwrap(), "v=0\r\n");
}

#[tokio::test]
async fn a_lost_datagram_is_sent_again_unchanged() {
    let (mut server, address) = Server::start().await;
    let serve = async {
        let (first, _) = server.receive().await;
        let (second, client) = server.receive().await;
        assert_eq!(first, second);
        let frame = Frame::split(&second).unwrap();
        server.reply(frame.cookie, Response::pong(), client).await;
    };
    let mut client = Client::connect(address).await.unwrap();
    let ping = command::ping();
    let (reply, ()) = tokio::join!(client.request(&ping), serve);
    reply.unwrap();
}

#[tokio::test]
async fn replies_to_other_requests_do_not_count() {
    let (mut server, address) = Server::start().await;
    let serve = async {
        let mut cookies: Vec<Vec<u8>> = Vec::new();
        for round in 0..2 {
            let (datagram, client) = server.receive().await;
            let cookie = Frame::split(&datagram).unwrap().cookie.to_vec();
            for late in &cookies {
                server.reply(late, Response::error("late"), client).await;
            }
            server.socket.send_to(b"nonsense", client).await.unwrap();
            server
                .reply(&cookie, Response::ok().with("round", round as u64), client)
                .await;
            cookies.push(cookie);
        }
        assert_ne!(cookies[0], cookies[1]);
    };
    let mut client = Client::connect(address).await.unwrap();
    let ask = async {
        for round in 0..2 {
            let reply = client.request(&command::query("c")).await.unwrap();
            assert_eq!(reply.find("round").unwrap().integer(), Some(round));
        }
    };
    tokio::join!(ask, serve);
}

#[tokio::test]
async fn nobody_listening_is_seen_at_once() {
    // An address of its own, so that no other test takes the port in between.
    let (server, address) = Server::at("127.0.0.77:0").await;
    drop(server);
    let never = Duration::from_secs(3600);
    let mut client = Client::connect(address).await.unwrap().with_timeout(never);
    for _ in 0..2 {
        let error = client.request(&command::ping()).await.unwrap_err();
        assert!(
            matches!(error, ClientError::Refused(refused) if refused == address),
            "{error}"
        );
    }

    // Once somebody listens, nothing of that is left.
    let (mut server, _) = Server::at(&address.to_string()).await;
    let serve = async {
        let (datagram, client) = server.receive().await;
        let cookie = Frame::split(&datagram).unwrap().cookie;
        server.reply(cookie, Response::pong(), client).await;
    };
    let ping = command::ping();
    let (reply, ()) = tokio::join!(client.request(&ping), serve);
    reply.unwrap();
}

#[tokio::test]
async fn silence_ends_with_the_timeout() {
    let (_server, address) = Server::start().await;
    let client = Client::connect(address).await.unwrap();
    let mut client = client.with_timeout(Duration::from_millis(20));
    let error = client.request(&command::ping()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("no answer from {address} within 0.02 s")
    );
}

#[tokio::test]
async fn an_error_reply_is_an_error_with_its_reason() {
    let (mut server, address) = Server::start().await;
    let mut client = Client::connect(address).await.unwrap();
    let responses = [
        (Response::error("Unknown call-id"), "Unknown call-id"),
        (
            Response::new(relay_common::ng::Outcome::LoadLimit(
                "CPU usage limit exceeded".into(),
            )),
            "CPU usage limit exceeded",
        ),
    ];
    for (response, reason) in responses {
        let sent: Dictionary = response.clone().into_dictionary();
        let serve = async {
            let (datagram, client) = server.receive().await;
            let cookie = Frame::split(&datagram).unwrap().cookie.to_vec();
            server.reply(&cookie, response, client).await;
        };
        let query = command::query("c");
        let (result, ()) = tokio::join!(client.request(&query), serve);
        let Err(ClientError::Rejected { reason: got, reply }) = result else {
            panic!("{result:?}");
        };
        assert_eq!((got.as_str(), reply), (reason, sent));
    }
}

#[tokio::test]
async fn a_broken_reply_is_an_error() {
    let (mut server, address) = Server::start().await;
    let serve = async {
        let (datagram, client) = server.receive().await;
        let cookie = Frame::split(&datagram).unwrap().cookie.to_vec();
        let broken = [cookie.as_slice(), b" d6:result"].concat();
        server.socket.send_to(&broken, client).await.unwrap();
    };
    let mut client = Client::connect(address).await.unwrap();
    let ping = command::ping();
    let (result, ()) = tokio::join!(client.request(&ping), serve);
    assert!(matches!(result, Err(ClientError::BrokenReply(_))), "{result:?}");
}

#[tokio::test]
async fn a_server_without_an_address_is_named_so() {
    let error = Client::connect("no.such.host.invalid:2223").await.unwrap_err();
    assert!(matches!(error, ClientError::NoAddress(_)), "{error}");
}
