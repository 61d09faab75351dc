//! A socket between the tool and its engine. At one request it does what an engine in trouble does, or lets the test do
//! something first: so every stage of a call can be met, whatever the speed of the machine.

use crate::support::place::Place;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// What becomes of the request that is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Nothing is answered, to this request and all later ones: an engine that hangs.
    Never,
    /// This connection is closed, and so is every later one: an engine that has gone.
    Gone,
    /// This connection is closed: an engine that was restarted.
    Closed,
    /// After three seconds.
    Late,
    /// By what is no JSON.
    Garbage,
    /// By an answer that ends before its announced end.
    Truncated,
    /// By a gibibyte.
    Huge,
    /// By an error of the engine with this text.
    Error(&'static str),
    /// The request is held until the test says so; the engine does not get it. All others are answered.
    Held,
    /// The same, and then the engine gets it.
    HeldUp,
    /// The engine gets it, and its answer is held until the test says so.
    HeldBack,
}

#[derive(Default)]
struct State {
    /// Part of the line of the request, how many of that kind come before it, and what becomes of it.
    armed: Option<(&'static str, usize, Answer)>,
    /// What holds for all requests from now on.
    all: Option<Answer>,
    reached: bool,
    seen: Vec<String>,
    /// Counts what was armed and healed: what was held under an earlier one is let go.
    turn: usize,
}

/// It lives as long as its socket's directory.
pub(crate) struct Relay {
    state: Arc<Mutex<State>>,
    /// What DOCKER_HOST is to be.
    pub(crate) host: String,
}

impl Relay {
    /// Before the engine of this socket.
    pub(crate) fn start(place: &Place, engine: &str) -> Relay {
        let dir = place.mkdir("relay");
        let socket = dir.join("docker.sock");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        fs::set_permissions(&socket, mode).expect("its mode");
        let state = Arc::new(Mutex::new(State::default()));
        let (ours, engine) = (Arc::clone(&state), PathBuf::from(engine));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (state, engine) = (Arc::clone(&ours), engine.clone());
                std::thread::spawn(move || serve(client, &engine, &state));
            }
        });
        Relay { state, host: format!("unix://{}", socket.display()) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("a thread that does not panic")
    }

    /// The next request of this kind, after so many, meets this.
    pub(crate) fn arm(&self, part: &'static str, after: usize, answer: Answer) {
        let mut state = self.state();
        *state = State { armed: Some((part, after, answer)), turn: state.turn + 1, ..State::default() };
    }

    /// Whether it was reached.
    pub(crate) fn reached(&self) -> bool {
        self.state().reached
    }

    /// All is answered again. Gives the lines of the requests since it was armed.
    pub(crate) fn heal(&self) -> Vec<String> {
        let mut state = self.state();
        let turn = state.turn + 1;
        std::mem::replace(&mut *state, State { turn, ..State::default() }).seen
    }
}

const METHODS: [&[u8]; 5] = [b"GET ", b"POST ", b"DELETE ", b"HEAD ", b"PUT "];

fn serve(mut client: UnixStream, engine: &PathBuf, state: &Arc<Mutex<State>>) {
    // A clone of the engine's side is closed with the client's.
    let Ok(mut server) = UnixStream::connect(engine) else { return };
    let (Ok(mut back), Ok(mut to)) = (server.try_clone(), client.try_clone()) else { return };
    let gate = Arc::new(Mutex::new(()));
    let passing = Arc::clone(&gate);
    let mut raw = false;
    std::thread::spawn(move || {
        let mut bytes = [0; 1 << 16];
        while let Ok(n @ 1..) = back.read(&mut bytes) {
            drop(passing.lock());
            if to.write_all(&bytes[..n]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
    let mut bytes = [0; 1 << 16];
    loop {
        let read = client.read(&mut bytes);
        let Ok(n @ 1..) = read else { break };
        let part = &bytes[..n];
        if !raw && METHODS.iter().any(|method| part.starts_with(method)) {
            let line =
                String::from_utf8_lossy(part.split(|byte| *byte == b'\r').next().unwrap_or_default()).into_owned();
            let (answer, turn) = decide(state, &line);
            raw = part.windows(8).any(|word| word.eq_ignore_ascii_case(b"upgrade:"));
            match answer {
                None => {}
                Some(Answer::Late) => std::thread::sleep(Duration::from_secs(3)),
                Some(Answer::HeldUp) => wait(state, turn),
                Some(Answer::Held | Answer::Never) => {
                    // Who asked has gone by then: the engine never gets it.
                    wait(state, turn);
                    break;
                }
                Some(Answer::HeldBack) => {
                    let held = gate.lock();
                    let _ = server.write_all(part);
                    wait(state, turn);
                    drop(held);
                    continue;
                }
                Some(Answer::Gone | Answer::Closed) => break,
                Some(answer @ (Answer::Garbage | Answer::Truncated | Answer::Huge | Answer::Error(_))) => {
                    say(&mut client, answer);
                    break;
                }
            }
        }
        if server.write_all(&bytes[..n]).is_err() {
            break;
        }
    }
    let _ = (server.shutdown(Shutdown::Write), client.shutdown(Shutdown::Read));
    if !raw {
        let _ = (server.shutdown(Shutdown::Both), client.shutdown(Shutdown::Both));
    }
}

fn decide(state: &Mutex<State>, line: &str) -> (Option<Answer>, usize) {
    let mut state = state.lock().expect("a thread that does not panic");
    state.seen.push(line.to_owned());
    let turn = state.turn;
    if state.all.is_some() {
        return (state.all, turn);
    }
    let Some((part, after, answer)) = state.armed else { return (None, turn) };
    if state.reached || !line.contains(part) {
        return (None, turn);
    }
    if after > 0 {
        state.armed = Some((part, after - 1, answer));
        return (None, turn);
    }
    state.reached = true;
    if matches!(answer, Answer::Never | Answer::Gone) {
        state.all = Some(answer);
    }
    (Some(answer), turn)
}

fn wait(state: &Mutex<State>, turn: usize) {
    while state.lock().is_ok_and(|state| state.turn == turn) {
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn say(client: &mut UnixStream, answer: Answer) {
    let head = |status: &str, length: usize| {
        format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n")
    };
    let text = match answer {
        Answer::Garbage => head("200 OK", 15) + "<html>no</html>",
        Answer::Truncated => head("200 OK", 4000) + "[{\"Id\": \"a",
        Answer::Error(text) => {
            let body = serde_json::json!({"message": text}).to_string();
            head("500 Internal Server Error", body.len()) + &body
        }
        Answer::Huge => head("200 OK", 1 << 30) + "[\"",
        Answer::Never
        | Answer::Gone
        | Answer::Closed
        | Answer::Late
        | Answer::Held
        | Answer::HeldUp
        | Answer::HeldBack => {
            return;
        }
    };
    let mut going = client.write_all(text.as_bytes()).is_ok();
    let (mut left, piece) = (if answer == Answer::Huge { 1 << 30 } else { 0_usize }, vec![b'a'; 1 << 20]);
    while going && left > 0 {
        going = client.write_all(&piece).is_ok();
        left = left.saturating_sub(piece.len());
    }
}
