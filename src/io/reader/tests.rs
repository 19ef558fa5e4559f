// SPDX-License-Identifier: Apache-2.0
use std::io::Write as _;
use std::thread;

use super::*;
use crate::io::Tell;

/// Asks all that can be asked, and tells the answers.
#[derive(Serialize, Deserialize)]
struct Inquiry(Manner);

impl Work for Inquiry {
    const NAME: &'static str = "inquiry";
    type Done = Vec<String>;

    fn read(&self, asker: &mut Asker<'_>) -> Vec<String> {
        assert!(std::fs::File::open("/etc/passwd").is_err(), "it has rights");
        let world = Distant::new(asker, self.0);
        let drive = Ask::Drive { label: "cidata", file: "user-data" };
        let mut told: Vec<String> =
            [Ask::File("/a b"), Ask::Hypervisor, Ask::Guestinfo("guestinfo.x"), Ask::Drives, drive]
                .map(|ask| world.text(ask).unwrap())
                .into();
        assert!(world.ask(Ask::Links).unwrap().is_none());
        told.push(format!("{:#}", anyhow::Error::from(world.ask(Ask::BootTimes).unwrap_err())));
        let request = http::Request::get("http://192.0.2.1/x");
        for answer in world.http(&[request.clone(), request.clone()], Instant::now()) {
            told.push(String::from_utf8_lossy(answer.unwrap().body.expose()).into_owned());
        }
        assert!(world.tell(Tell::Http(&request)).is_err());
        assert!(world.asks_without_token());
        told.push(format!("{:?}", world.patience()));
        told
    }
}

/// A machine that says what it was asked.
struct Echo;

impl World for Echo {
    fn ask(&self, ask: Ask<'_>) -> Result<Option<Vec<u8>>, Error> {
        match ask {
            Ask::Links => Ok(None),
            Ask::BootTimes => Err(anyhow!("no clock").context("boot times").into()),
            ask => Ok(Some(ask.name().into())),
        }
    }

    fn tell(&self, _: Tell<'_>) -> Result<(), Error> {
        unreachable!("who reads tells nothing")
    }

    fn http(&self, requests: &[http::Request], _: Instant) -> Vec<Result<http::Response, http::Error>> {
        requests.iter().map(|r| Ok(http::Response::of(200, r.url.as_str()))).collect()
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(7)
    }

    fn asks_without_token(&self) -> bool {
        true
    }
}

#[test]
fn the_machine_is_asked_by_who_may() {
    let told =
        read(&Inquiry(Manner::of(&Echo)), false, Duration::ZERO, |question| answer(&Echo, question)).unwrap();
    let asked = ["file/a b", "hypervisor", "guestinfo/guestinfo.x", "labels", "drive/cidata/user-data"];
    assert_eq!(told[..5], asked);
    assert_eq!(told[5..], ["boot times: no clock", "http://192.0.2.1/x", "http://192.0.2.1/x", "7s"]);
}

#[test]
fn refusals_keep_kind_words_and_cure() {
    let chain = anyhow!("third").context("second").context("first");
    let unreachable = Error::from(Refusal::from(Error::from(chain)));
    assert!(matches!(&unreachable, Error::Unreachable(e) if format!("{e:#}") == "first: second: third"));
    let problem = Problem::error("a.b", "is wrong").cure("mend it").code("x/y");
    let broken = Error::from(Refusal::from(Error::from(problem.clone())));
    assert!(matches!(broken, Error::Broken(same) if same == problem));
    let within = anyhow::Error::from(problem).context("read");
    let there = Problem::from(anyhow::Error::from(Error::from(Refusal::from(Error::from(within)))));
    assert_eq!((there.cure.as_deref(), &*there.code, there.what.as_str()), (Some("mend it"), "x/y", "read"));
}

#[test]
fn messages_are_whole_or_refused() {
    let (near, far) = UnixStream::pair().unwrap();
    let (mut near, mut far) = (Connection(near), Connection(far));
    let secrets = vec![Secret::new(vec![0_u8, 255, 10]), Secret::default(), Secret::new(vec![7; 300_000])];
    thread::scope(|scope| {
        let sent = secrets.clone();
        scope.spawn(move || near.send(&sent).unwrap());
        assert_eq!(far.receive::<Vec<Secret>>().unwrap(), secrets);
    });
    // Its other end is gone.
    assert!(far.receive::<Vec<Secret>>().is_err());
    for head in [[u64::MAX, 0], [1 << 40, 0], [2, 1 << 40], [2, u64::MAX]] {
        let (mut near, far) = UnixStream::pair().unwrap();
        let head: Vec<u8> = head.iter().flat_map(|length| length.to_le_bytes()).collect();
        near.write_all(&[head.as_slice(), b"[]"].concat()).unwrap();
        let error = Connection(far).receive::<Vec<String>>().unwrap_err().to_string();
        assert!(error.contains("a message of"), "{error}");
    }
}
